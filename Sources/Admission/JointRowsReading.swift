import Identifiers
import JobFiles
import JobPlan
import SystemPackage
import UnitOperations

extension FactorSetInventory.JointRowTensors {
    /// The joint rows of a factor set; `nil` if its metadata states none.
    ///
    /// - Parameters:
    ///   - set: The set.
    ///   - metadata: Its metadata.
    ///   - files: The positions of its files among the job's.
    init?(_ set: CurvatureSet, _ metadata: FactorsMetadata, files: [FilePath: Int]) {
        guard let stated = metadata.jointRows else { return nil }
        self.init()
        kept = [stated.kept.inputs, stated.kept.gradients]
        let parameters = Set(set.entries.filter { $0.name.side == .full }.map(\.name.owner))
        for entry in set.jointEntries {
            guard let file = files[entry.file] else { continue }
            let tensor = Tensor(
                shape: entry.shape,
                slice: FileSlice(
                    file: file, offset: UInt64(entry.fileRange.lowerBound), byteCount: UInt64(entry.fileRange.count)))
            guard let owner = entry.name.owner else {
                if entry.name.content == .inputRows { constant = tensor }
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
