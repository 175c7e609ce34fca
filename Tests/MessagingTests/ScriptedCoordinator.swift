import Identifiers
import LinearAlgebra
import Synchronization
import Testing
import WireProtocol
import ZeroMQ

@testable import Messaging

/// A coordinator that takes the messages of one client and answers what a test decides.
struct ScriptedCoordinator {
    let endpoint: CoordinatorEndpoint
    let client: ClientConnection

    init(_ context: Context) async throws {
        endpoint = try await CoordinatorEndpoint.bind(try Endpoint("tcp://127.0.0.1:0"), context: context)
        client = try await ClientConnection.connect(to: endpoint.endpoint, context: context)
    }

    /// A request with its number, bytes and sender.
    struct Request {
        let number: UInt64
        let body: ClientRequest
        let payload: [UInt8]
        let peer: RoutingIdentity
    }

    /// The next request.
    func next() async throws -> Request {
        guard case .message(.request(let number, let body), let payload, let peer) = await endpoint.next() else {
            Issue.record("no request arrived")
            throw CancellationError()
        }
        return Request(number: number, body: body, payload: payload?.copyBytes() ?? [], peer: peer)
    }

    /// Answers a request.
    func answer(_ request: Request, _ reply: ClientReply) async {
        _ = await endpoint.send(.reply(request.number, reply), to: request.peer)
    }

    func close() async {
        await client.close()
        await endpoint.close()
    }
}
