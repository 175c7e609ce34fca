import UnitOperations

/// An operation that this worker computes: one file each says how.
protocol ExecutableOperation: UnitOperation {
    /// Whether it goes on with the memory that the lane's last unit left; otherwise the lane lets go of it first, so
    /// that the unit finds the memory that its cost promises.
    static var reusesScratch: Bool { get }

    /// Computes.
    ///
    /// - Parameters:
    ///   - input: The unit and where its inputs lie.
    ///   - scratch: The lane's.
    /// - Returns: What the unit makes; its blobs are in the cache, pinned.
    /// - Throws: ``UnitError`` for inputs that are wrong or missing, or what reading and writing throw.
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult
}

extension ExecutableOperation {
    static var reusesScratch: Bool { false }
}

/// The operations of leases that this worker cannot compute.
struct UnexecutableOperations: Error, CustomStringConvertible {
    /// The kinds of those of `operations` that say nothing of their execution.
    let kinds: [String]

    /// Looks through operations.
    ///
    /// - Throws: Itself, when there are any.
    static func refuse(among operations: [any UnitOperation.Type]) throws(UnexecutableOperations) {
        let kinds = operations.filter { !($0 is any ExecutableOperation.Type) }.map { $0.kind }
        guard kinds.isEmpty else { throw UnexecutableOperations(kinds: kinds) }
    }

    var description: String {
        "this worker cannot compute the operations \(kinds.joined(separator: ", ")), which leases may hold. It was built "
            + "wrong: install kfacd again."
    }
}
