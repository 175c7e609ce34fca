import Foundation
public import Testing

/// A Python interpreter of the machine, if there is one.
public enum Python {
    /// The interpreter: `KFACD_PYTHON`, else `python3`.
    private static let interpreter = ProcessInfo.processInfo.environment["KFACD_PYTHON"] ?? "python3"

    /// Whether there is an interpreter.
    public static let isInstalled = (try? run("print()"))?.status == 0

    /// Whether it has numpy and the reference implementation of safetensors.
    public static let hasSafetensors = (try? run("import safetensors.numpy, numpy"))?.status == 0

    /// Why a test needs ``hasSafetensors``.
    public static let reason: Comment = "needs Python with safetensors and numpy; KFACD_PYTHON names the interpreter"

    /// Runs a script to its end.
    ///
    /// - Returns: The exit status, and both streams of output together.
    /// - Throws: what Foundation throws when the interpreter cannot be started.
    public static func run(_ script: String, _ arguments: String...) throws -> (status: Int32, output: String) {
        try run(script, arguments)
    }

    /// The same with a list of arguments.
    ///
    /// - Throws: what Foundation throws when the interpreter cannot be started.
    public static func run(_ script: String, _ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [interpreter, "-c", script] + arguments
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }
}
