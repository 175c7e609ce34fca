import Identifiers
import JobFiles
import JobPlan
import SystemPackage
import UnitOperations

extension JointRowTensors {
    /// The joint rows of files.
    ///
    /// - Parameters:
    ///   - entries: Their tensors.
    ///   - stated: What the files state of them.
    ///   - parameters: The parameters outside layers.
    ///   - files: The positions of the files among the job's.
    ///   - rowsPerSample: The mean rows of a layer's samples.
    init(
        _ entries: [JointEntry], _ stated: JointRowsMetadata, parameters: Set<String>, files: [FilePath: Int],
        rowsPerSample: (String) -> Double?
    ) {
        self.init()
        kept = [stated.kept.inputs, stated.kept.gradients]
        codebook = stated.buckets?.codebook
        for layer in stated.buckets?.layers ?? [] { pooledRows[layer] = rowsPerSample(layer) }
        for entry in entries {
            guard let file = files[entry.file] else { continue }
            let tensor = Tensor(
                shape: entry.shape,
                slice: FileSlice(
                    file: file, offset: UInt64(entry.fileRange.lowerBound), byteCount: UInt64(entry.fileRange.count)))
            guard let owner = entry.name.owner else {
                if entry.name.content == .inputRows { constant = tensor }
                if entry.name.content == .inputSquares { constantSquares = tensor }
                continue
            }
            let gradient: FactorSide = parameters.contains(owner) ? .full : .gradient
            switch entry.name.content {
            case .inputRows: rows[FactorName(owner: owner, side: .input)] = tensor
            case .inputSquares: squares[FactorName(owner: owner, side: .input)] = tensor
            case .gradientRows: rows[FactorName(owner: owner, side: gradient)] = tensor
            case .gradientSquares: squares[FactorName(owner: owner, side: gradient)] = tensor
            }
        }
    }
}
