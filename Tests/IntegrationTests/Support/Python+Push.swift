import Foundation
import TestSupport
import Testing

/// What the example of a client in Python needs.
extension Python {
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
}
