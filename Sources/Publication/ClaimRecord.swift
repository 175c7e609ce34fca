import Foundation
import Glibc
import Identifiers
import Safetensors
import SystemPackage

/// Who publishes into an output directory.
public struct ClaimOwner: Equatable, Sendable {
    /// The coordinator, by the name that it keeps in its state directory.
    public let coordinator: String
    /// Where that coordinator keeps its state; empty for one that is never started again.
    public let stateDirectory: String

    /// Names an owner.
    ///
    /// - Parameters:
    ///   - coordinator: The coordinator's lasting name.
    ///   - stateDirectory: Its state, when it may be started again and go on with its jobs.
    public init(coordinator: String, stateDirectory: String) {
        self.coordinator = coordinator
        self.stateDirectory = stateDirectory
    }
}

/// What stands in a claim: who holds an output directory, of the format `kfacd.claim/1`.
struct ClaimRecord: Equatable, Sendable {
    static let byteLimit = 1 << 20

    var job: String
    var owner: ClaimOwner
    var host = Self.ownHost
    var process = Int(getpid())
    /// When the process began, in ticks after its machine's start: tells it from a later one of the same number.
    var processStart = Self.start(of: Int(getpid()))
    /// The machine's present life: one kernel, whose locks all its processes see.
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

    /// Whether it is of the same job of the same coordinator.
    func isOf(_ other: ClaimRecord) -> Bool {
        job == other.job && owner.coordinator == other.owner.coordinator
    }

    /// Whether it was written on this machine since its start.
    var isOfThisKernel: Bool { boot == Self.ownBoot && !boot.isEmpty }

    /// Whether the process that wrote it, on this machine, still runs.
    var processRuns: Bool { isOfThisKernel && Self.start(of: process) == processStart }

    /// Whether the coordinator, which does not run, will go on with the job when it is started again.
    func isAwaited(identityAt read: (FilePath) -> String?) -> Bool {
        guard !owner.stateDirectory.isEmpty else { return false }
        guard host == Self.ownHost else { return true }
        return read(FilePath(owner.stateDirectory)) == owner.coordinator
    }

    /// The owner in words.
    var holder: String {
        "\(job) of the coordinator \(owner.coordinator) on \(host) (process \(process))"
    }

    /// As the kernel has it: nobody is asked for a longer one.
    private static let ownHost =
        (try? String(contentsOfFile: "/proc/sys/kernel/hostname", encoding: .utf8))?
        .trimmingCharacters(in: .whitespacesAndNewlines) ?? ""

    private static let ownBoot: String = {
        let text = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
        return text?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
    }()

    /// The start of a process as proc(5) tells it: field 22, after the name, which may hold anything.
    private static func start(of process: Int) -> String {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
            let end = text.lastIndex(of: ")")
        else { return "" }
        let fields = text[text.index(after: end)...].split(separator: " ")
        return fields.count > 19 ? String(fields[19]) : ""
    }
}
