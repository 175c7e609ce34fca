import UnitOperations

/// The reason why a tensor of the base is copied, not merged.
public enum CopyReason: String, Sendable, CaseIterable {
    /// A pattern of `ignore` matches it.
    case ignored
    /// It holds no floating-point numbers.
    case notFloatingPoint = "not_floating_point"
    /// It decodes weights that are stored as codes: a scale, a zero point or a table.
    case quantization
    /// A model has it in another shape, and the job keeps the base's.
    case mismatchedShape = "mismatched_shape"
    /// It is a buffer of floating-point numbers: a mask or a computed table.
    case buffer
}

/// The tensors of a base that are copied, not merged, each with its reason.
///
/// They are found once for a job, because they are needed often.
public struct CopiedTensors: Sendable {
    private let base: CheckpointInventory
    private let reasons: [String: CopyReason]

    /// Finds the copied tensors of a job's base.
    public init(spec: JobSpec, base: CheckpointInventory) {
        let ignored = IgnoredTensors(spec)
        let kinds = TensorKinds([base])
        self.base = base
        reasons = base.tensors.compactMapValues { tensor in
            // One weight is copied under all its names, or merged under all.
            if base.names(ofWeightOf: tensor.name).contains(where: ignored.contains) { return .ignored }
            if base.kept.contains(tensor.name) { return .mismatchedShape }
            if tensor.floatingType == nil { return .notFloatingPoint }
            if kinds.kind(of: tensor) == .encoded { return .quantization }
            return tensor.isBuffer ? .buffer : nil
        }
    }

    /// The reason why a tensor is copied; `nil` if it is merged.
    public func reason(of tensor: String) -> CopyReason? { reasons[tensor] }

    /// The names of the tensors that are copied for a reason, sorted.
    public func names(_ reason: CopyReason) -> [String] {
        reasons.filter { $0.value == reason }.keys.sorted()
    }

    /// Whether all parameters of a block are merged, so that its task vectors are complete.
    func mergesWhole(_ block: CurvatureBlock) -> Bool {
        block.tensors.allSatisfy { base.tensors[$0] != nil && reasons[$0] == nil }
    }
}
