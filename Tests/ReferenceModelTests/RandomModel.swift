import LinearAlgebra
import ReferenceModel
import TestSupport
import Testing

/// A shape of the tests.
struct ModelShape: CustomTestStringConvertible, Sendable {
    let width: Int
    let depth: Int
    let headCount: Int
    let hiddenRatio: Int
    let patchSide: Int
    let featureWidth: Int

    var testDescription: String { "\(width) wide, \(depth) blocks, patches of \(patchSide)" }

    /// The shape of the small example.
    static let small = ModelShape(
        width: 24, depth: 2, headCount: 2, hiddenRatio: 2, patchSide: 14, featureWidth: 24)
    /// The shape of the laboratory.
    static let large = ModelShape(
        width: 64, depth: 3, headCount: 4, hiddenRatio: 4, patchSide: 7, featureWidth: 64)
    /// No size is a multiple of eight, and features are narrower than the model.
    static let odd = ModelShape(
        width: 15, depth: 1, headCount: 3, hiddenRatio: 3, patchSide: 28, featureWidth: 7)
    static let all = [small, large, odd]

    var layout: ParameterLayout {
        get throws(ReferenceModelError) {
            ParameterLayout(
                shape: try VisionTransformerShape(
                    width: width, depth: depth, headCount: headCount, hiddenRatio: hiddenRatio, patchSide: patchSide,
                    featureWidth: featureWidth))
        }
    }
}

/// A model with random parameters, and samples for it.
///
/// Weights have the variance 1 / d_in, so attention is not uniform and no unit saturates.
struct RandomModel {
    let layout: ParameterLayout
    let parameters: [Float]
    let tokens: [Float]
    let sampleCount = 6
    private(set) var random: SplitMix64

    init(_ shape: ModelShape, seed: UInt64) throws {
        random = SplitMix64(seed: seed)
        layout = try shape.layout
        var parameters: [Float] = []
        for entry in layout.entries {
            let isScale = entry.name.contains("ln") && entry.name.hasSuffix(".weight")
            let bound = entry.shape.count == 2 ? (3 / Double(entry.shape[1])).squareRoot() : 0.4
            parameters += random.values(entry.count).map { Float(bound * $0 + (isScale ? 1 : 0)) }
        }
        self.parameters = parameters
        tokens = random.values(sampleCount * layout.shape.positionCount * layout.shape.width).map { Float($0) }
    }

    /// Numbers in −1 ..< 1.
    mutating func numbers(_ count: Int) -> [Float] { random.values(count).map { Float($0) } }

    /// A direction that is 0 outside these parameters, in proportion to their size.
    mutating func direction(in range: Range<Int>) -> [Float] {
        var direction = [Float](repeating: 0, count: layout.count)
        let size = norm(parameters[range]) / Double(range.count).squareRoot()
        for index in range { direction[index] = Float(size * random.nextSigned()) }
        return direction
    }

    /// A direction that moves every parameter.
    mutating func direction() -> [Float] {
        var direction: [Float] = []
        for entry in layout.entries { direction += self.direction(in: entry.range)[entry.range] }
        return direction
    }

    /// A pass that holds `samples`, after its forward pass.
    func pass(_ samples: some Collection<Int>, capacity: Int? = nil) -> TransformerPass {
        var pass = TransformerPass(layout, sampleCapacity: capacity ?? samples.count)
        pass.load(samples, from: tokens)
        pass.forward(parameters)
        return pass
    }

    /// Length of the features of all samples of a pass.
    func featureCount(_ pass: TransformerPass) -> Int { pass.sampleCount * layout.shape.featureWidth }
}

/// Parameters whose derivative is checked alone.
struct ParameterGroup {
    let name: String
    let range: Range<Int>
}

extension ParameterLayout {
    /// Every parameter; queries, keys and values are separate.
    var groups: [ParameterGroup] {
        entries.flatMap { entry -> [ParameterGroup] in
            guard entry.name.contains(".qkv.") else { return [ParameterGroup(name: entry.name, range: entry.range)] }
            let third = entry.count / 3
            return ["queries", "keys", "values"].enumerated().map { index, part in
                let start = entry.offset + index * third
                return ParameterGroup(name: "\(entry.name), \(part)", range: start..<start + third)
            }
        }
    }
}

/// ⟨x, y⟩ in fp64.
func dot(_ left: some Sequence<Float>, _ right: some Sequence<Float>) -> Double {
    zip(left, right).reduce(0) { $0 + Double($1.0) * Double($1.1) }
}

/// ‖x‖ in fp64.
func norm(_ values: some Sequence<Float>) -> Double {
    values.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
}

/// ‖x − y‖ / ‖y‖; infinite when the lengths differ.
func relativeDistance<Found: BinaryFloatingPoint, Expected: BinaryFloatingPoint>(
    _ found: some Collection<Found>, _ expected: some Collection<Expected>
) -> Double {
    guard found.count == expected.count else { return .infinity }
    var (difference, size) = (0.0, 0.0)
    for (value, truth) in zip(found, expected) {
        let (value, truth) = (Double(value), Double(truth))
        difference += (value - truth) * (value - truth)
        size += truth * truth
    }
    return difference == 0 ? 0 : (difference / size).squareRoot()
}
