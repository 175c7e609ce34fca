public import FoundationEssentials

/// How well an owner's images can be read from what is shared.
public struct LeakFigure: Codable, Sendable, Equatable {
    /// The same number for the captured images, and for as many others of the same task.
    public struct Comparison: Codable, Sendable, Equatable {
        /// Of the images that the factors or rows were made from.
        public var captured: Double
        /// Of images that were not captured: the control.
        public var heldOut: Double

        /// The two numbers.
        public init(captured: Double, heldOut: Double) {
            self.captured = captured
            self.heldOut = heldOut
        }

        private enum CodingKeys: String, CodingKey {
            case captured
            case heldOut = "held_out"
        }
    }

    /// Images beside what was read, for a picture.
    public struct Recovered: Codable, Sendable, Equatable {
        /// The pixels of a side.
        public var side: Int
        /// `[images, side, side]`, 0 for black; in files in base 64.
        public var images: Data
        /// `[images, side, side]`: what was read of each.
        public var readings: Data

        /// Square images with their readings.
        public init(side: Int, images: [UInt8], readings: [UInt8]) {
            self.side = side
            self.images = Data(images)
            self.readings = Data(readings)
        }
    }

    /// What is shared, in words.
    public var shared: String
    /// The task whose images are looked for.
    public var owner: String
    /// The seed of the captured images.
    public var seed: Int?
    /// The mean correlation of what is shared with the nearest image, decoded by the model.
    public var nearest: Comparison
    /// The largest of these correlations.
    public var largest: Comparison
    /// The mean correlation with the nearest image, decoded by a linear map that was fitted to public images.
    public var fitted: Comparison
    /// The probability that a captured image is told from another one; ½ is chance.
    public var membership: Double
    /// Images for the page's picture; nil for owners that it does not show.
    public var recovered: Recovered?

    /// A measurement.
    public init(
        shared: String,
        owner: String,
        seed: Int? = nil,
        nearest: Comparison,
        largest: Comparison,
        fitted: Comparison,
        membership: Double,
        recovered: Recovered? = nil
    ) {
        self.shared = shared
        self.owner = owner
        self.seed = seed
        self.nearest = nearest
        self.largest = largest
        self.fitted = fitted
        self.membership = membership
        self.recovered = recovered
    }
}
