import UnitOperations

/// An operation that this worker can compute; each has one file with its execution.
protocol ExecutableOperation: UnitOperation {
    /// Whether the operation reuses the memory of the lane's last unit.
    ///
    /// Otherwise the lane frees that memory first, so that the unit has the memory that its cost states.
    static var reusesScratch: Bool { get }

    /// Computes a unit.
    ///
    /// - Parameters:
    ///   - input: The unit and the places of its inputs.
    ///   - scratch: The lane's memory for scratch.
    /// - Returns: The unit's result; its blobs are pinned in the cache.
    /// - Throws: ``UnitError`` for wrong or missing inputs, or the errors of reading and writing.
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult
}

extension ExecutableOperation {
    static var reusesScratch: Bool { false }
}

/// The error about operations of leases that this worker cannot compute.
struct UnexecutableOperations: Error, CustomStringConvertible {
    /// The kinds of the operations without an execution.
    let kinds: [String]

    /// Checks that all operations can be computed.
    ///
    /// - Throws: This error, if one cannot.
    static func refuse(among operations: [any UnitOperation.Type]) throws(UnexecutableOperations) {
        let kinds = operations.filter { !($0 is any ExecutableOperation.Type) }.map { $0.kind }
        guard kinds.isEmpty else { throw UnexecutableOperations(kinds: kinds) }
    }

    var description: String {
        "this worker cannot compute the operations \(kinds.joined(separator: ", ")), which leases may hold. It was built "
            + "wrong: install kfacd again."
    }
}
