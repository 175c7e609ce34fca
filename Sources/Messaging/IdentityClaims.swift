import Identifiers
import ZeroMQ

/// The owner of each name: the key that used the name first, for as long as the key sends messages.
///
/// Bound: ``nameCountMax`` names. More are refused until one of them has been silent for the period.
struct IdentityClaims {
    /// A name that a peer gives itself.
    enum Name: Hashable {
        case connection(RoutingIdentity)
        case worker(WorkerID)
    }

    private struct Claim {
        let owner: CurvePublicKey
        var lastHeard: ContinuousClock.Instant
    }

    static let nameCountMax = 16_384
    private let period: Duration
    private var claims: [Name: Claim] = [:]

    init(period: Duration) {
        self.period = period
    }

    /// The current or the last owner of a name.
    func owner(of name: Name) -> CurvePublicKey? { claims[name]?.owner }

    /// Claims a name for a key, or renews the claim.
    ///
    /// - Returns: Whether the key now has the name. It does not when another key has it, or when there is no room.
    mutating func take(_ name: Name, for key: CurvePublicKey, at now: ContinuousClock.Instant) -> Bool {
        if let claim = claims[name], claim.owner != key, now - claim.lastHeard < period { return false }
        if claims[name] == nil, claims.count >= Self.nameCountMax {
            claims = claims.filter { now - $0.value.lastHeard < period }
            guard claims.count < Self.nameCountMax else { return false }
        }
        claims[name] = Claim(owner: key, lastHeard: now)
        return true
    }
}
