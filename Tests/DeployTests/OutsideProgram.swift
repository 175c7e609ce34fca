import Foundation

/// An optional program that checks deployment files.
enum OutsideProgram {
    /// Runs a program from PATH in the repository's root to its end.
    ///
    /// - Returns: Its exit status, or 127 when the program does not exist, and its output.
    /// - Throws: The error that prevents a process from starting.
    static func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        process.currentDirectoryURL = DeployedFile.root
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, output)
    }
}
