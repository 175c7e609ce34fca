/// A worker process, from its first greeting to its end.
///
/// A restarted worker has a new name.
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
    ///   - name: The worker's name, the same for each of its processes.
    ///   - process: The process's number.
    ///   - mark: Distinguishes the process from earlier ones with the same number.
    public init(name: String, process: Int32, mark: UInt32) {
        rawValue = "\(name)-\(process)-\(String(mark, radix: 36))"
    }

    /// The worker's name without its process; the whole text when it names no process.
    public var lastingName: String {
        let parts = rawValue.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count > 2, Int32(parts[parts.count - 2]) != nil else { return rawValue }
        return parts.dropLast(2).joined(separator: "-")
    }
}
