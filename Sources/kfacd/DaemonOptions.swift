import ArgumentParser
import Foundation
import Logging
import Settings
import StatusServer
import Telemetry

/// The common options of both daemons.
struct DaemonOptions: ParsableArguments {
    @Option(help: ArgumentHelp("YAML file of settings; flags and KFACD_… variables precede it.", valueName: "file"))
    var config: String?

    @Option(help: ArgumentHelp("Serve health and metrics over HTTP here, or \"off\".", valueName: "address:port"))
    var http: String?

    @Option(help: "Lines below this level are dropped: trace, debug, info, notice, warning, error, critical.")
    var logLevel: String?

    @Flag(help: "End when standard input is closed: for a parent that must not leave daemons behind.")
    var endWithInput = false

    @Flag(help: "Print the settings in force and where each comes from, then end.")
    var printConfiguration = false

    /// The common keys of both daemons.
    static func keys(http: String) -> [SettingKey] {
        [
            SettingKey("http", .text, default: .text(http)),
            SettingKey("log-level", .text, default: .text("notice"), isReloadable: true),
            SettingKey("end-with-input", .truth, default: .truth(false)),
        ]
    }

    /// The values from the command line.
    var flags: [String: SettingValue] {
        var flags: [String: SettingValue] = [:]
        flags["http"] = http.map { .text($0) }
        flags["log-level"] = logLevel.map { .text($0) }
        if endWithInput { flags["end-with-input"] = .truth(true) }
        return flags
    }

    /// Combines the command line with the other layers.
    ///
    /// - Throws: ``UsageFailure`` with all faults.
    func settings(_ keys: [SettingKey], flags: [String: SettingValue]) throws -> Settings {
        let environment = ProcessInfo.processInfo.environment
        let file = config ?? environment["KFACD_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
        do {
            return try Settings(keys: keys, flags: flags, environment: environment, file: file)
        } catch {
            throw UsageFailure(error.description)
        }
    }
}

/// The settings of both daemons, with their types.
struct DaemonSettings {
    let settings: Settings
    private(set) var problems: [String] = []

    init(_ settings: Settings) {
        self.settings = settings
    }

    /// The address of the status pages, or `nil` without status pages.
    mutating func statusAddress() -> StatusAddress? {
        guard let text = settings.text("http"), text != "off" else { return nil }
        do {
            return try StatusAddress(text)
        } catch {
            problems.append(settings.problem("http", error.description))
            return nil
        }
    }

    /// The level below which log lines are dropped.
    mutating func logLevel() -> Logger.Level {
        guard let level = settings.text("log-level").flatMap(Logger.Level.init(rawValue:)) else {
            let levels = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            refuse("log-level", "expected one of \(levels).")
            return .notice
        }
        return level
    }

    /// A whole number within a range.
    mutating func integer(_ name: String, in range: ClosedRange<Int>) -> Int? {
        guard let number = settings.integer(name) else { return nil }
        guard range.contains(number) else {
            refuse(name, "expected a number from \(range.lowerBound) to \(range.upperBound).")
            return nil
        }
        return number
    }

    /// Notes that a value is not valid.
    mutating func refuse(_ name: String, _ sentence: String) {
        problems.append(settings.problem(name, sentence))
    }

    /// Ends the reading.
    ///
    /// - Throws: ``UsageFailure`` with all faults.
    func requireNoProblems() throws {
        guard problems.isEmpty else { throw UsageFailure(problems.joined(separator: "\n")) }
    }
}
