/// Where operations of workers may be named: so that a new one is a few files, and nothing else.
enum OperationRules {
    private static let module = "Sources/UnitOperations/"
    /// The types of the module whose names end alike and that are no operation.
    private static let others: Set<String> = ["UnitOperation", "EncodedOperation"]

    /// The operations: the module has a file of each.
    static func operations(in sources: [SwiftSource]) -> Set<String> {
        let names = sources.filter { $0.path.hasPrefix(module) && !$0.isGenerated }.map(\.baseName)
        return Set(names.filter { $0.hasSuffix("Operation") }).subtracting(others)
    }

    /// Names of operations in files that are neither their own, nor their execution, nor the registry, nor of plans.
    static func strayNames(_ operations: Set<String>, in source: SwiftSource) -> [Violation] {
        source.tokens.filter { $0.kind == .word && operations.contains($0.text) }.filter { token in
            let execution = token.text.dropLast("Operation".count) + "Execution"
            let places = [
                "\(module)\(token.text).swift", "\(module)OperationRegistry.swift",
                "Sources/WorkerService/\(execution).swift",
            ]
            return !places.contains(source.path) && !source.path.hasPrefix("Sources/JobPlan/")
        }.map { source.violation($0.line, "the operation \($0.text) is named outside its files") }
    }
}
