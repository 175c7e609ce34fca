/// A work unit's position in its job's plan.
///
/// It stays the same after a restart because the plan does.
public struct UnitIndex: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
    /// The position in the plan, from 0.
    public let position: Int

    /// Names a unit by its position.
    public init(_ position: Int) {
        self.position = position
    }

    /// The position as text.
    public var description: String { String(position) }

    /// Orders units as the plan does.
    public static func < (left: UnitIndex, right: UnitIndex) -> Bool { left.position < right.position }
}
