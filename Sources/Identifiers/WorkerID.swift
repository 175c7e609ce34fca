/// A worker process, from its first greeting to its end; a restarted worker is another one.
public struct WorkerID: Name {
    /// The text of the name.
    public let rawValue: String

    /// Names a worker process by its text.
    public init(rawValue: String) {
        self.rawValue = rawValue
    }

    /// Names a process of a worker.
    ///
    /// - Parameters:
    ///   - name: What the worker is called, whichever process it is.
    ///   - process: The process's number.
    ///   - mark: Tells it from earlier processes of that number.
    public init(name: String, process: Int32, mark: UInt32) {
        rawValue = "\(name)-\(process)-\(String(mark, radix: 36))"
    }

    /// What the worker is called, whichever process it is; the whole text when no process is named in it.
    public var lastingName: String {
        let parts = rawValue.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count > 2, Int32(parts[parts.count - 2]) != nil else { return rawValue }
        return parts.dropLast(2).joined(separator: "-")
    }
}
