/// The operations that this version knows, one line each.
public enum OperationRegistry {
    /// All operations.
    public static let operations: [any UnitOperation.Type] = [
        FactorOperation.self,
        IndexFactorOperation.self,
        SumUsesOperation.self,
        ImportOperation.self,
        SumPartialsOperation.self,
        CombineOperation.self,
        ExactTraceOperation.self,
        BalanceOperation.self,
        AccumulateOperation.self,
        OptimalAccumulateOperation.self,
        ImportJointRowsOperation.self,
        RowSquaresOperation.self,
        JointWeightsOperation.self,
        RowGramOperation.self,
        JointEigenvectorsOperation.self,
        RowCombinationOperation.self,
        InvertOperation.self,
        CompressOperation.self,
        PenaltyOperation.self,
        JointDriftOperation.self,
        JointPenaltyOperation.self,
        NormOperation.self,
        JointStartOperation.self,
        JointStepOperation.self,
        JointStepSumOperation.self,
        MergeOperation.self,
        CombineStatisticsOperation.self,
    ]

    /// Kinds are unique, as a test proves.
    private static let byKind = Dictionary(operations.map { ($0.kind, $0) }, uniquingKeysWith: { first, _ in first })

    /// The operation of a kind, or `nil`.
    static func operation(ofKind kind: String) -> (any UnitOperation.Type)? { byKind[kind] }
}
