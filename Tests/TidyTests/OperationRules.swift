/// The files that may name operations of workers.
///
/// The rule keeps a new operation to a few files.
enum OperationRules {
    private static let module = "Sources/UnitOperations/"
    /// The types of the module that are not operations, though their names end in the same way.
    private static let others: Set<String> = ["UnitOperation", "EncodedOperation"]

    /// The operations; the module has one file for each.
    static func operations(in sources: [SwiftSource]) -> Set<String> {
        let names = sources.filter { $0.path.hasPrefix(module) && !$0.isGenerated }.map(\.baseName)
        return Set(names.filter { $0.hasSuffix("Operation") }).subtracting(others)
    }

    /// The names of operations outside their own file, their execution, the registry and the planner.
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
