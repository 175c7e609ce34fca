import ArgumentParser
import FileAccess
import Foundation
import Keys
import Settings
import SystemPackage
import ZeroMQ

/// The settings that protect a daemon's endpoint and files, from whatever layer of settings.
struct ProtectionSettings: Sendable {
    var secretKey: String?
    /// The coordinator's directory of authorized keys.
    var authorizedKeys: String?
    /// The public key file of the worker's coordinator.
    var serverKey: String?
    var roots: [String] = []
    /// The directory of the service's credentials, which systemd sets.
    var credentials = ProcessInfo.processInfo.environment["CREDENTIALS_DIRECTORY"]

    private var secretKeyPlace: SecretKeyPlace? {
        SecretKeyPlace(named: secretKey, credentials: credentials)
    }

    /// The keys and roots of a coordinator at an endpoint.
    ///
    /// - Throws: ``UsageFailure`` with what is missing and what to do, or with the fault of a file.
    func coordinator(at endpoint: Endpoint) throws -> (keys: CoordinatorKeys?, roots: FileRoots) {
        let place = secretKeyPlace
        if !endpoint.isLocalOnly {
            try requireAll(
                [
                    ("--secret-key FILE", place != nil), ("--authorized-keys DIRECTORY", authorizedKeys != nil),
                    ("--root DIRECTORY", !roots.isEmpty),
                ],
                at: endpoint, danger: "anybody who reaches this address could submit jobs and read files",
                remedy:
                    "make the coordinator's key with \"kfacctl keygen coordinator\", one with a role for each peer, "
                    + "put their .public files into a directory, and say below which directories jobs may read and "
                    + "write; or listen on tcp://127.0.0.1:PORT or ipc://PATH")
        }
        return try UsageFailure.translating {
            let roots = roots.isEmpty ? FileRoots.unlimited : try FileRoots(roots.map { FilePath($0) })
            // A credential may be meant for another endpoint. Only both together show that keys are wanted.
            guard let authorizedKeys else {
                guard secretKey == nil else {
                    throw UsageFailure("--secret-key is given without --authorized-keys; expected both or neither.")
                }
                return (nil, roots)
            }
            guard let place else {
                throw UsageFailure("--authorized-keys is given without --secret-key; expected both or neither.")
            }
            let authorized = try AuthorizedKeys(directory: FilePath(authorizedKeys))
            return (CoordinatorKeys(pair: try place.read(), authorized: authorized), roots)
        }
    }

    /// The keys and roots of a worker for its coordinator.
    ///
    /// - Throws: ``UsageFailure`` with what is missing and what to do, or with the fault of a file.
    func worker(of endpoint: Endpoint) throws -> (keys: PeerKeys?, roots: FileRoots) {
        let place = secretKeyPlace
        if !endpoint.isLocalOnly {
            try requireAll(
                [("--server-key FILE", serverKey != nil), ("--secret-key FILE", place != nil)],
                at: endpoint, danger: "anybody between could read what is sent, or pose as the coordinator",
                remedy:
                    "copy the coordinator's .public file here, make a key with \"kfacctl keygen NAME --role worker\", "
                    + "and have its .public file put into the coordinator's directory of authorized keys")
        }
        return try UsageFailure.translating {
            // Without permission, a coordinator on another machine must not make this machine read its files.
            let unasked: FileRoots = endpoint.isLocalOnly ? .unlimited : .none
            let roots = roots.isEmpty ? unasked : try FileRoots(roots.map { FilePath($0) })
            guard let serverKey else {
                guard secretKey == nil else {
                    throw UsageFailure("--secret-key is given without --server-key; expected both or neither.")
                }
                return (nil, roots)
            }
            guard let place else {
                throw UsageFailure("--server-key is given without --secret-key; expected both or neither.")
            }
            let coordinator = try PublicKeyFile.read(FilePath(serverKey))
            return (PeerKeys(pair: try place.read(), serverKey: coordinator), roots)
        }
    }

    private func requireAll(
        _ options: [(name: String, isGiven: Bool)], at endpoint: Endpoint, danger: String, remedy: String
    ) throws {
        let missing = options.filter { !$0.isGiven }.map(\.name)
        guard !missing.isEmpty else { return }
        throw UsageFailure(
            "\(endpoint): other machines reach it, and \(danger); missing: \(missing.joined(separator: ", ")). "
                + "To go on, \(remedy).")
    }
}

/// Bad usage or a bad file: the message for exit code 2.
struct UsageFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }

    /// Runs a body whose errors are the user's to correct.
    ///
    /// - Throws: ``UsageFailure``.
    static func translating<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let failure as UsageFailure {
            throw failure
        } catch {
            throw UsageFailure("\(error)")
        }
    }
}

/// The protection options of `kfacd coordinator`.
struct CoordinatorProtectionOptions: ParsableArguments {
    @Option(help: "The coordinator's own key file; by default the systemd credential curve.secret, if there is one.")
    var secretKey: String?

    @Option(help: "Directory of NAME.public files: who may connect, and with what roles.")
    var authorizedKeys: String?

    @Option(help: "Only below these directories are files read and outputs written; repeatable.")
    var root: [String] = []

    static let keys = [
        SettingKey("secret-key", .text), SettingKey("authorized-keys", .text), SettingKey("root", .list),
    ]

    /// The values from the command line.
    var flags: [String: SettingValue] {
        var flags: [String: SettingValue] = [:]
        flags["secret-key"] = secretKey.map { .text($0) }
        flags["authorized-keys"] = authorizedKeys.map { .text($0) }
        if !root.isEmpty { flags["root"] = .list(root) }
        return flags
    }
}

/// The protection options of `kfacd worker`.
struct WorkerProtectionOptions: ParsableArguments {
    @Option(help: "The coordinator's public key file.")
    var serverKey: String?

    @Option(help: "The worker's own key file; by default the systemd credential curve.secret, if there is one.")
    var secretKey: String?

    @Option(
        help: """
            Only below these directories are input files read, others are streamed; repeatable. Without any, a worker \
            of a coordinator elsewhere reads none.
            """)
    var root: [String] = []

    static let keys = [
        SettingKey("server-key", .text), SettingKey("secret-key", .text), SettingKey("root", .list),
    ]

    /// The values from the command line.
    var flags: [String: SettingValue] {
        var flags: [String: SettingValue] = [:]
        flags["server-key"] = serverKey.map { .text($0) }
        flags["secret-key"] = secretKey.map { .text($0) }
        if !root.isEmpty { flags["root"] = .list(root) }
        return flags
    }
}

extension ProtectionSettings {
    /// Reads the layers of settings.
    init(_ settings: Settings) {
        self.init(
            secretKey: settings.text("secret-key"), authorizedKeys: settings.text("authorized-keys"),
            serverKey: settings.text("server-key"), roots: settings.list("root"))
    }
}
