import Identifiers
import ZeroMQ

/// Whose a name is: the key that used it first, as long as it is heard.
///
/// Bound: ``nameCountMax`` names; more are refused until one has not been heard for the period.
struct IdentityClaims {
    /// What peers call themselves.
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

    /// The key that a name belongs to, or belonged to last.
    func owner(of name: Name) -> CurvePublicKey? { claims[name]?.owner }

    /// Takes a name for a key, or keeps it.
    ///
    /// - Returns: Whether it is the key's now; not when it is another's, or there is no room.
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
