/// The backends that a worker can be told to use, one line each.
public enum FactorBackendRegistry {
    /// All of them, the fastest first.
    public static let backends: [any FactorBackend] = [
        BFloat16FactorBackend(),
        FMAFactorBackend(),
        standard,
    ]

    /// The backend that every machine has.
    public static let standard: any FactorBackend = BLASFactorBackend()

    /// The word for the fastest backend that suits the machine.
    public static let automatic = "auto"

    /// The backend of a name, or of ``automatic``.
    ///
    /// - Throws: ``UnknownFactorBackend``, which lists the known names.
    public static func backend(named name: String) throws(UnknownFactorBackend) -> any FactorBackend {
        guard let backend = backends.first(where: { name == automatic ? $0.suitsMachine : $0.name == name }) else {
            throw UnknownFactorBackend(known: [automatic] + backends.map(\.name))
        }
        return backend
    }
}

/// A backend's name that the registry does not have.
public struct UnknownFactorBackend: Error, CustomStringConvertible {
    /// The names that it has.
    public let known: [String]

    /// What was expected; whoever read the name says where it stands.
    public var description: String {
        "expected the name of a backend of this program: \(known.joined(separator: ", "))."
    }
}
