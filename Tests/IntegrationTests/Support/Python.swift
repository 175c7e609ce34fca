import Foundation
import Testing

/// The reference implementation of safetensors and numpy, if they are installed.
enum Python {
    /// The interpreter: `KFACD_PYTHON`, else `python3`.
    private static let interpreter = ProcessInfo.processInfo.environment["KFACD_PYTHON"] ?? "python3"

    static let hasSafetensors = (try? run("import safetensors.numpy, numpy"))?.status == 0

    static let reason: Comment = "needs Python with safetensors and numpy; KFACD_PYTHON names the interpreter"

    /// Whether the example of a client can run: pyzmq, protobuf, and grpcio-tools for the messages.
    static let canPush = (try? run("import zmq, google.protobuf, grpc_tools"))?.status == 0

    static let pushReason: Comment =
        "needs Python with pyzmq, protobuf and grpcio-tools; KFACD_PYTHON names the interpreter"

    private static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../..").standardizedFileURL.path

    /// The directory of the example of a client.
    static let pushDirectory = "\(repository)/Examples/push"

    /// Makes the Python module of the wire's messages.
    ///
    /// - Throws: what Foundation throws when the interpreter cannot be started.
    static func generateMessages(in directory: String) throws -> (status: Int32, output: String) {
        try run(
            "import sys; from grpc_tools import protoc; sys.exit(protoc.main(sys.argv))",
            "-I\(repository)/Sources/WireProtocol/Schema", "--python_out=\(directory)", "kfacd.proto")
    }

    /// Runs a script to its end.
    ///
    /// - Throws: what Foundation throws when the interpreter cannot be started.
    static func run(_ script: String, _ arguments: String...) throws -> (status: Int32, output: String) {
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
