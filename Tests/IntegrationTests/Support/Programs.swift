import Foundation

/// The programs under test: those that were built with the tests, or those in `KFACD_BINARIES`.
enum Programs {
    static let daemon = path(of: "kfacd")
    static let client = path(of: "kfacctl")

    /// The path of a program: in `KFACD_BINARIES`, else beside the test bundle, which this process runs from.
    private static func path(of name: String) -> String {
        let environment = ProcessInfo.processInfo.environment
        if let directory = environment["KFACD_BINARIES"] { return "\(directory)/\(name)" }
        let own = [CommandLine.arguments[0], "/proc/self/exe"].map {
            URL(fileURLWithPath: $0).resolvingSymlinksInPath().deletingLastPathComponent().path
        }
        let candidates = own.map { "\($0)/\(name)" }
        return candidates.first(where: FileManager.default.isExecutableFile) ?? candidates[0]
    }
}
