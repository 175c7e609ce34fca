import Identifiers

extension JobPlan {
    /// The outputs that only files read, of units that read nothing but input files.
    ///
    /// Once such an output stands in its file, nobody in the job needs its blob. An output that is made of others may
    /// be that of several units: layers with equal inputs have equal sums and inverses, which are computed once.
    public var outputsForFilesAlone: Set<UnitOutput> {
        var forFiles: Set<UnitOutput> = []
        var others: Set<UnitOutput> = []
        for unit in units {
            switch unit.work {
            case .worker, .coordinator(.mergeCheckpoint): others.formUnion(blobs(readBy: unit))
            case .coordinator: forFiles.formUnion(blobs(readBy: unit))
            }
        }
        return forFiles.subtracting(others).filter { units[$0.unit.position].inputs.isEmpty }
    }
}
