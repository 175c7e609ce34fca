public import Safetensors

extension PartialsMetadata {
    /// Checks one file of partial sums by itself: its metadata, names and shapes, and all its values.
    ///
    /// A job would refuse the same values later, when the training that could repeat them is over.
    ///
    /// - Throws: ``JobFileError``: all problems of the file.
    public init(checking file: SafetensorsFile) throws(JobFileError) {
        let checked = try PartialsFile(file)
        let problems =
            PartialsProblem.grouped(checked.flaws.map { (file.path, $0) }).map(JobFileError.partials)
            + (try PartialsValues(checked).problems())
        if let error = JobFileError.bundle(problems) { throw error }
        self = checked.metadata
    }
}
