/// Where compute backends may be named: so that a new one is a file and a line of the registry.
enum BackendRules {
    private static let folder = "Sources/WorkerService/"
    private static let (backend, accumulator) = ("FactorBackend", "FactorAccumulator")

    /// The backends' own words (`BLAS` of `BLASFactorBackend`): there is a file of each.
    static func backends(in sources: [SwiftSource]) -> Set<String> {
        let names = sources.filter { $0.path.hasPrefix(folder) && $0.baseName.hasSuffix(backend) }.map(\.baseName)
        return Set(names.map { String($0.dropLast(backend.count)) }).subtracting([""])
    }

    /// Names of backends and of their accumulators outside their own files and the registry.
    static func strayNames(_ backends: Set<String>, in source: SwiftSource) -> [Violation] {
        source.tokens.filter { $0.kind == .word }.compactMap { token in
            guard let own = backends.first(where: { [$0 + backend, $0 + accumulator].contains(token.text) }),
                ![own + backend, "FactorBackendRegistry"].map({ "\(folder)\($0).swift" }).contains(source.path)
            else { return nil }
            return source.violation(token.line, "the backend \(token.text) is named outside its file and the registry")
        }
    }

    /// Backends that no line of the registry names: nobody could choose them.
    static func unregistered(_ backends: Set<String>, in sources: [SwiftSource]) -> [String] {
        let registry = sources.first { $0.path == "\(folder)FactorBackendRegistry.swift" }
        return backends.filter { own in registry?.tokens.contains { $0.isWord(own + backend) } != true }.sorted()
    }
}
