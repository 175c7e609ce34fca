/// Decides whose job file is checked next, so that one client's many submissions cannot keep out another client.
///
/// Bounds: ``waitingPerClient`` submissions of a client wait, and ``waitingMax`` of all clients. A client has at most
/// all places but one at a time.
struct AdmissionQueue<Client: Hashable & Sendable>: Sendable {
    static var waitingPerClient: Int { 32 }
    static var waitingMax: Int { 1024 }

    /// The number of checks at a time.
    let places: Int
    private var waiting: [(ticket: UInt64, client: Client)] = []
    private var underWay: [Client: Int] = [:]

    init(places: Int) {
        self.places = places
    }

    /// The number of submissions that wait.
    var waitingCount: Int { waiting.count }
    /// The number of submissions that are being checked.
    var underWayCount: Int { underWay.values.reduce(0, +) }

    /// Adds a submission at the end.
    ///
    /// - Returns: Whether there was room.
    mutating func append(_ ticket: UInt64, of client: Client) -> Bool {
        guard waiting.count < Self.waitingMax, waiting.count(where: { $0.client == client }) < Self.waitingPerClient
        else { return false }
        waiting.append((ticket, client))
        return true
    }

    /// Takes the next submission when there is a place.
    ///
    /// It is the earliest one of the client with the fewest current checks.
    mutating func next() -> UInt64? {
        guard underWayCount < places else { return nil }
        let most = max(1, places - 1)
        var best: (index: Int, load: Int)?
        for (index, entry) in waiting.enumerated() {
            let load = underWay[entry.client, default: 0]
            if load < most, load < best?.load ?? .max { best = (index, load) }
        }
        guard let best else { return nil }
        let entry = waiting.remove(at: best.index)
        underWay[entry.client, default: 0] += 1
        return entry.ticket
    }

    /// Removes a submission that waits.
    mutating func remove(_ ticket: UInt64) {
        waiting.removeAll { $0.ticket == ticket }
    }

    /// Releases a place.
    mutating func end(of client: Client) {
        underWay[client, default: 1] -= 1
        if underWay[client] == 0 { underWay[client] = nil }
    }
}
