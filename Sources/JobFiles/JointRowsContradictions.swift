import Identifiers
public import SystemPackage

/// What joint rows contradict within the files that hold them, whatever a job makes of them.
public struct JointRowsContradictions {
    /// A contradiction, and the file that has it.
    public struct Contradiction: Hashable, Sendable {
        /// The file.
        public let file: FilePath
        /// A clause.
        public let words: String
    }

    private let entries: [JointEntry]
    private let stated: JointRowsMetadata
    private let layers: Set<String>
    private let parameters: Set<String>
    /// Whether the rows of a layer's samples are known.
    private let isCounted: (String) -> Bool

    init(
        _ entries: [JointEntry], _ stated: JointRowsMetadata, layers: Set<String>, parameters: Set<String>,
        isCounted: @escaping (String) -> Bool
    ) {
        (self.entries, self.stated, self.layers, self.parameters) = (entries, stated, layers, parameters)
        self.isCounted = isCounted
    }

    /// The check of a factor set; `nil` if its metadata states no joint rows.
    public init?(_ set: CurvatureSet, _ metadata: FactorsMetadata) {
        guard let stated = metadata.jointRows else { return nil }
        self.init(
            set.jointEntries, stated,
            layers: Set(set.entries.lazy.filter { $0.name.side != .full }.map(\.name.owner)),
            parameters: Set(set.entries.lazy.filter { $0.name.side == .full }.map(\.name.owner)),
            isCounted: { OwnerCounts.rowsPerSample(of: $0, metadata.rowCounts, metadata.sampleCounts) != nil })
    }

    /// The contradictions by kind; no list is empty.
    var kinds: [[Contradiction]] {
        [strays, rankProblems, positionProblems, poolingProblems].filter { !$0.isEmpty }
    }

    /// A sentence for each kind of contradiction of a factor set.
    public var problems: [String] {
        kinds.map { found in
            let others = found.count > 1 ? " (\(found.count - 1) more are like it)" : ""
            return "\(found[0].file): \(found[0].words)\(others). Make the factors again from the rows."
        }
    }

    /// Tensors of no layer or parameter of the set, and inputs of a parameter.
    private var strays: [Contradiction] {
        entries.compactMap { entry in
            let isOfInputs = [.inputRows, .inputSquares].contains(entry.name.content)
            let tensor = "tensor \"\(entry.name)\""
            guard let owner = entry.name.owner else {
                // The constant has no gradients.
                return isOfInputs
                    ? nil : Contradiction(file: entry.file, words: "\(tensor) belongs to no layer or parameter")
            }
            if layers.contains(owner) { return nil }
            guard parameters.contains(owner) else {
                return Contradiction(
                    file: entry.file, words: "\(tensor) belongs to \"\(owner)\", of which the files hold no factors")
            }
            guard isOfInputs else { return nil }
            return Contradiction(
                file: entry.file,
                words: "\(tensor) belongs to the parameter \"\(owner)\", which has no inputs; expected the constant's "
                    + "\"\(entry.name.content.rawValue)\" alone")
        }
    }

    /// Rows of another number than the metadata states.
    private var rankProblems: [Contradiction] {
        entries.compactMap { entry in
            let (rank, word): (Int, String)
            switch entry.name.content {
            case .inputRows: (rank, word) = (stated.ranks.inputs, "inputs")
            case .gradientRows: (rank, word) = (stated.ranks.gradients, "gradients")
            case .inputSquares, .gradientSquares: return nil
            }
            guard entry.shape.first != rank else { return nil }
            return Contradiction(
                file: entry.file,
                words: "tensor \"\(entry.name)\" has the shape \(entry.shape); expected \(rank) rows, as \"ranks\" of "
                    + "the metadata \"\(MetadataKey.jointRows)\" states of the \(word)")
        }
    }

    /// Layers with pooled positions that the files lack, or whose rows they do not state.
    private var poolingProblems: [Contradiction] {
        guard let file = entries.first?.file else { return [] }
        return (stated.buckets?.layers ?? []).sorted().compactMap { layer in
            let statement = "\"buckets\" of the metadata \"\(MetadataKey.jointRows)\" names \"\(layer.excerpt)\""
            guard layers.contains(layer) else {
                return Contradiction(file: file, words: "\(statement), of which the files hold no factors")
            }
            guard !isCounted(layer) else { return nil }
            return Contradiction(
                file: file, words: "\(statement), whose rows the metadata \"\(MetadataKey.rows)\" does not state")
        }
    }

    /// Layers whose inputs and gradients have different numbers of positions.
    private var positionProblems: [Contradiction] {
        var inputs: [String: Int] = [:]
        for entry in entries where entry.name.content == .inputRows && entry.shape.count == 3 {
            if let owner = entry.name.owner { inputs[owner] = entry.shape[1] }
        }
        return entries.compactMap { entry in
            guard entry.name.content == .gradientRows, entry.shape.count == 3, let owner = entry.name.owner,
                let positions = inputs[owner], positions != entry.shape[1]
            else { return nil }
            return Contradiction(
                file: entry.file,
                words: "layer \"\(owner)\" has \(positions) positions in \"\(owner).input_rows\", but "
                    + "\(entry.shape[1]) in \"\(entry.name)\"; expected one number")
        }
    }
}
