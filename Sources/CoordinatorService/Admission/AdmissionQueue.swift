/// Whose job file is checked next: nobody's many submissions keep out another's one.
///
/// Bounds: ``waitingPerClient`` submissions of a client wait, and ``waitingMax`` of all; a client has at most all
/// places but one at a time.
struct AdmissionQueue<Client: Hashable & Sendable>: Sendable {
    static var waitingPerClient: Int { 32 }
    static var waitingMax: Int { 1024 }

    /// How many are checked at a time.
    let places: Int
    private var waiting: [(ticket: UInt64, client: Client)] = []
    private var underWay: [Client: Int] = [:]

    init(places: Int) {
        self.places = places
    }

    /// How many wait.
    var waitingCount: Int { waiting.count }
    /// How many are being checked.
    var underWayCount: Int { underWay.values.reduce(0, +) }

    /// Puts a submission behind the others.
    ///
    /// - Returns: Whether there was room for it.
    mutating func append(_ ticket: UInt64, of client: Client) -> Bool {
        guard waiting.count < Self.waitingMax, waiting.count(where: { $0.client == client }) < Self.waitingPerClient
        else { return false }
        waiting.append((ticket, client))
        return true
    }

    /// Takes the next submission when there is a place: of the client with the fewest under way the one that came
    /// first.
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

    /// Forgets a submission that waits.
    mutating func remove(_ ticket: UInt64) {
        waiting.removeAll { $0.ticket == ticket }
    }

    /// Gives a place back.
    mutating func end(of client: Client) {
        underWay[client, default: 1] -= 1
        if underWay[client] == 0 { underWay[client] = nil }
    }
}
