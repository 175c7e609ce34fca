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
        codebook = stated.buckets?.codebook
        for layer in stated.buckets?.layers ?? [] { pooledRows[layer] = metadata.rowsPerSample(of: layer) }
        let parameters = Set(set.entries.filter { $0.name.side == .full }.map(\.name.owner))
        for entry in set.jointEntries {
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

extension FactorsMetadata {
    /// The mean number of rows of a layer's samples; nil unless both numbers are stated and above 0.
    fileprivate func rowsPerSample(of layer: String) -> Double? {
        guard let rows = rowCounts?[layer], let samples = sampleCounts[layer], rows > 0, samples > 0 else { return nil }
        return Double(rows) / Double(samples)
    }
}

/// What a factor set's joint rows contradict within the set itself, whatever the job makes of them.
struct JointRowsContradictions {
    private let factorSet: CurvatureSet
    private let stated: JointRowsMetadata
    private let metadata: FactorsMetadata
    private let layers: Set<String>
    private let parameters: Set<String>

    /// The check of a set; `nil` if its metadata states no joint rows.
    init?(_ set: CurvatureSet, _ metadata: FactorsMetadata) {
        guard let stated = metadata.jointRows else { return nil }
        (factorSet, self.stated, self.metadata) = (set, stated, metadata)
        layers = Set(set.entries.lazy.filter { $0.name.side != .full }.map(\.name.owner))
        parameters = Set(set.entries.lazy.filter { $0.name.side == .full }.map(\.name.owner))
    }

    /// A sentence for each kind of contradiction.
    var problems: [String] {
        let remedy = "Make the factors again from the rows."
        return [strays, rankProblems, positionProblems, poolingProblems].compactMap { found in
            guard let first = found.first else { return nil }
            let others = found.count > 1 ? " (\(found.count - 1) more are like it)" : ""
            return "\(first)\(others). \(remedy)"
        }
    }

    /// Tensors of no layer or parameter of the set, and inputs of a parameter.
    private var strays: [String] {
        factorSet.jointEntries.compactMap { entry in
            let isOfInputs = [.inputRows, .inputSquares].contains(entry.name.content)
            let tensor = "\(entry.file): tensor \"\(entry.name)\""
            guard let owner = entry.name.owner else {
                // The constant has no gradients.
                return isOfInputs ? nil : "\(tensor) belongs to no layer or parameter"
            }
            if layers.contains(owner) { return nil }
            guard parameters.contains(owner) else {
                return "\(tensor) belongs to \"\(owner)\", of which the files hold no factors"
            }
            guard isOfInputs else { return nil }
            return "\(tensor) belongs to the parameter \"\(owner)\", which has no inputs; expected the constant's "
                + "\"\(entry.name.content.rawValue)\" alone"
        }
    }

    /// Rows of another number than the metadata states.
    private var rankProblems: [String] {
        factorSet.jointEntries.compactMap { entry in
            let (rank, word): (Int, String)
            switch entry.name.content {
            case .inputRows: (rank, word) = (stated.ranks.inputs, "inputs")
            case .gradientRows: (rank, word) = (stated.ranks.gradients, "gradients")
            case .inputSquares, .gradientSquares: return nil
            }
            guard entry.shape.first != rank else { return nil }
            return "\(entry.file): tensor \"\(entry.name)\" has the shape \(entry.shape); expected \(rank) rows, as "
                + "\"ranks\" of the metadata \"\(MetadataKey.jointRows)\" states of the \(word)"
        }
    }

    /// A file with joint rows, for messages.
    private var place: String { factorSet.jointEntries.first.map { "\($0.file)" } ?? "the factors" }

    /// Layers with pooled positions that the set lacks, or whose rows it does not state.
    private var poolingProblems: [String] {
        let pooled = stated.buckets?.layers ?? []
        return pooled.sorted().compactMap { layer in
            let statement = "\(place): \"buckets\" of the metadata \"\(MetadataKey.jointRows)\" names \"\(layer)\""
            guard layers.contains(layer) else { return "\(statement), of which the files hold no factors" }
            guard metadata.rowsPerSample(of: layer) == nil else { return nil }
            return "\(statement), whose rows the metadata \"\(MetadataKey.rows)\" does not state"
        }
    }

    /// Layers whose inputs and gradients have different numbers of positions.
    private var positionProblems: [String] {
        var inputs: [String: Int] = [:]
        for entry in factorSet.jointEntries where entry.name.content == .inputRows && entry.shape.count == 3 {
            if let owner = entry.name.owner { inputs[owner] = entry.shape[1] }
        }
        return factorSet.jointEntries.compactMap { entry in
            guard entry.name.content == .gradientRows, entry.shape.count == 3, let owner = entry.name.owner,
                let positions = inputs[owner], positions != entry.shape[1]
            else { return nil }
            return "\(entry.file): layer \"\(owner)\" has \(positions) positions in \"\(owner).input_rows\", but "
                + "\(entry.shape[1]) in \"\(entry.name)\"; expected one number"
        }
    }
}
