import Foundation

/// A program that judges deployment files and need not be there.
enum OutsideProgram {
    /// Runs a program of PATH, in the repository's root, to its end.
    ///
    /// - Returns: Its exit status, 127 when there is none of that name, and what it wrote.
    /// - Throws: What keeps a process from being started.
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
