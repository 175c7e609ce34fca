/// How fast a machine does one computation, measured at a few dimensions.
public struct RateCurve: Equatable, Sendable {
    /// A measured rate.
    public struct Point: Equatable, Sendable, Codable {
        /// The dimension of the matrices.
        public var dimension: Int
        /// Multiply-adds a second of one lane.
        public var rate: Double

        /// States a rate.
        public init(dimension: Int, rate: Double) {
            self.dimension = dimension
            self.rate = rate
        }
    }

    /// The points, by rising dimension.
    public let points: [Point]

    /// A curve through points; `nil` for points that are not one.
    ///
    /// - Parameter points: At least one, with different positive dimensions and positive rates, in any order.
    public init?(_ points: [Point]) {
        let sorted = points.sorted { $0.dimension < $1.dimension }
        let isRising = zip(sorted, sorted.dropFirst()).allSatisfy { $0.dimension < $1.dimension }
        guard let first = sorted.first, first.dimension > 0, isRising, sorted.allSatisfy({ $0.rate.isRate }) else {
            return nil
        }
        self.points = sorted
    }

    /// The rate at a dimension: linear in the logarithm of the dimension between two points, and that of the nearest
    /// point outside.
    public func rate(at dimension: Int) -> Double {
        guard let next = points.firstIndex(where: { $0.dimension >= dimension }) else {
            return points[points.count - 1].rate
        }
        guard next > 0 else { return points[0].rate }
        let (low, high) = (points[next - 1], points[next])
        let (start, end) = (Self.logarithm(low.dimension), Self.logarithm(high.dimension))
        let share = (Self.logarithm(dimension) - start) / (end - start)
        return low.rate + (high.rate - low.rate) * share
    }

    /// The logarithm to the base 2, exact for powers of two and linear between them.
    ///
    /// That is close enough for an interpolation, and needs no C library.
    private static func logarithm(_ dimension: Int) -> Double {
        let value = Double(dimension)
        return Double(value.exponent) + value.significand - 1
    }
}

extension RateCurve: Codable {
    /// Decodes the points.
    ///
    /// - Throws: `DecodingError` for points that are not a curve.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let curve = RateCurve(try container.decode([Point].self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "the points are not a curve")
        }
        self = curve
    }

    /// Encodes the points.
    ///
    /// - Throws: What the encoder throws.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(points)
    }
}

extension Double {
    /// Whether it can be a measured rate.
    var isRate: Bool { isFinite && self > 0 }
}
