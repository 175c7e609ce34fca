import FileAccess
import Foundation
import Glibc
import Identifiers
import JSONText
import SystemPackage

/// The publisher that owns an output directory.
public struct ClaimOwner: Equatable, Sendable {
    /// The coordinator's name, which it keeps in its state directory.
    public let coordinator: String
    /// The coordinator's state directory; empty if it is never started again.
    public let stateDirectory: String

    /// Names an owner.
    ///
    /// - Parameters:
    ///   - coordinator: The coordinator's lasting name.
    ///   - stateDirectory: Its state directory, if it may be started again and continue its jobs.
    public init(coordinator: String, stateDirectory: String) {
        self.coordinator = coordinator
        self.stateDirectory = stateDirectory
    }
}

/// The content of a claim: the holder of an output directory, in the format `kfacd.claim/1`.
struct ClaimRecord: Equatable, Sendable {
    static let byteLimit = 1 << 20

    var job: String
    var owner: ClaimOwner
    var host = Self.ownHost
    var process = Int(getpid())
    /// The start of the process, in ticks after the machine's start.
    ///
    /// It distinguishes later processes with the same number.
    var processStart = Self.start(of: Int(getpid()))
    /// The machine's boot; all processes of one boot see the same locks.
    var boot = Self.ownBoot
    /// Directories that were made for the job.
    var made: [String] = []

    init(job: String, owner: ClaimOwner) {
        self.job = job
        self.owner = owner
    }

    init(_ value: JSONValue) {
        job = value["job"]?.stringValue ?? ""
        owner = ClaimOwner(
            coordinator: value["coordinator"]?.stringValue ?? "",
            stateDirectory: value["state_directory"]?.stringValue ?? "")
        host = value["host"]?.stringValue ?? ""
        process = Int(value["process"]?.count ?? 0)
        processStart = value["process_start"]?.stringValue ?? ""
        boot = value["boot"]?.stringValue ?? ""
        made = (value["made"]?.elements ?? []).compactMap(\.stringValue)
    }

    var text: String {
        JSONValue.object([
            .init("format", .string(FormatVersion.claim.description)),
            .init("job", .string(job)),
            .init("coordinator", .string(owner.coordinator)),
            .init("state_directory", .string(owner.stateDirectory)),
            .init("host", .string(host)),
            .init("process", .number("\(process)")),
            .init("process_start", .string(processStart)),
            .init("boot", .string(boot)),
            .init("made", .array(made.map { .string($0) })),
        ]).text(indent: 2) + "\n"
    }

    /// Whether both belong to the same job of the same coordinator.
    func isOf(_ other: ClaimRecord) -> Bool {
        job == other.job && owner.coordinator == other.owner.coordinator
    }

    /// Whether it was written on this machine since its boot.
    var isOfThisKernel: Bool { boot == Self.ownBoot && !boot.isEmpty }

    /// Whether the process that wrote it, on this machine, is still running.
    var processRuns: Bool { isOfThisKernel && Self.start(of: process) == processStart }

    /// Whether the coordinator, which is not running, will continue the job when it is started again.
    func isAwaited(identityAt read: (FilePath) -> String?) -> Bool {
        guard !owner.stateDirectory.isEmpty else { return false }
        guard host == Self.ownHost else { return true }
        return read(FilePath(owner.stateDirectory)) == owner.coordinator
    }

    /// The owner, as words in a sentence.
    var holder: String {
        "\(job) of the coordinator \(owner.coordinator) on \(host) (process \(process))"
    }

    /// The kernel's host name, without asking the network for a longer one.
    private static let ownHost =
        TextFile.ofKernel("/proc/sys/kernel/hostname")?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""

    private static let ownBoot =
        TextFile.ofKernel("/proc/sys/kernel/random/boot_id")?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""

    /// The start of a process from proc(5): field 22, after the name, which may contain anything.
    private static func start(of process: Int) -> String {
        guard let text = TextFile.ofKernel("/proc/\(process)/stat"), let end = text.lastIndex(of: ")")
        else { return "" }
        let fields = text[text.index(after: end)...].split(separator: " ")
        return fields.count > 19 ? String(fields[19]) : ""
    }
}
