/// The numbers that a method's penalty keeps and shares.
public struct PenaltyStorage: Codable, Sendable, Equatable {
    /// The id of the method.
    public var method: String
    /// Elements, of symmetric matrices their triangles.
    public var elementCount: Int
    /// The same relative to the factors of equation 8.
    public var relative: Double
    /// The same ratio by the shapes of a large model.
    public var largeRelative: Double

    /// A penalty's numbers.
    public init(method: String, elementCount: Int, relative: Double, largeRelative: Double) {
        self.method = method
        self.elementCount = elementCount
        self.relative = relative
        self.largeRelative = largeRelative
    }

    private enum CodingKeys: String, CodingKey {
        case method, relative
        case elementCount = "element_count"
        case largeRelative = "large_relative"
    }
}
