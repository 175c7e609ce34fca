import LinearAlgebra
import ReferenceModel
import Safetensors
import SystemPackage
import TestSupport
import Testing

@testable import Laboratory

/// The tiny model, and one whose patches have fewer pixels than a token has elements, so that images are determined.
struct LeakMeasurementTests {
    /// Images of random pixels; those of a task share nothing else.
    private static func images(_ count: Int, seed: UInt64) -> [UInt8] {
        var random = SplitMix64(seed: seed)
        return (0..<count * 28 * 28).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    private static let pixelCount = 28 * 28
    private let directory: TemporaryDirectory
    private let base: BaseModel
    private let team: PassTeam

    init() throws {
        BLASEnvironment.setThreadCount(1)
        directory = try TemporaryDirectory()
        let path = FilePath(directory.appending("base.safetensors"))
        let shape = try VisionTransformerShape(
            width: 24, depth: 1, headCount: 2, hiddenRatio: 2, patchSide: 4, featureWidth: 6)
        var random = SplitMix64(seed: 1)
        let frozen = [("patch.weight", [24, 16]), ("patch.bias", [24]), ("pos_embed", [50, 24])]
        let tensors = (frozen + ParameterLayout(shape: shape).entries.map { ($0.name, $0.shape) }).map { name, shape in
            let isScale = name.contains("ln") && name.hasSuffix(".weight")
            return TinyModel.Tensor(
                name: name, shape: shape,
                values: random.values(shape.reduce(1, *)).map { Float($0) * 0.4 + (isScale ? 1 : 0) })
        }
        let configuration = #"{"d": 24, "depth": 1, "heads": 2, "mlp": 2, "patch": 4, "out": 6}"#
        try TinyModel.write(tensors, metadata: ["cfg": configuration], to: path)
        base = try BaseModel(opening: path)
        team = PassTeam(base.layout, laneCount: 2)
    }

    private func task(_ name: String, _ images: [UInt8]) throws -> EvaluationTask {
        let count = images.count / Self.pixelCount
        return try EvaluationTask(
            name: name, head: ClassHead(weights: [Float](repeating: 0, count: 6), classCount: 1, featureWidth: 6),
            images: ImageSet(images: images, labels: [Int32](repeating: 0, count: count)), base: base)
    }

    private func samples(_ images: [UInt8]) async -> LeakMeasurement.Samples {
        let count = images.count / Self.pixelCount
        return LeakMeasurement.Samples(
            rows: await TaskRows(
                "own", tokens: base.embedding.tokens(of: images), samples: Array(0..<count), base: base, team: team,
                settings: CaptureSettings(seed: 3)), images: images)
    }

    private func known(_ count: Int) async throws -> FirstLayerInputs {
        await FirstLayerInputs(
            try task("other", Self.images(count, seed: 5)), count: count, base: base, team: team)
    }

    // MARK: - Decoding by the model

    @Test func `a sample's row is its image, exactly`() async throws {
        let images = Self.images(3, seed: 1)
        let rows = await samples(images).rows.rows.inputs[0]
        let decoded = try FirstLayerDecoder(base).sums(of: rows).asOneImage
        // What the model sees of a pixel: x = (u8 / 255 − 0.2) / 0.35.
        expectClose(decoded, images.map { (Double($0) / 255 - 0.2) / 0.35 }, absolute: 2e-2)
    }

    @Test func `a sum of rows is decoded to the sum of what its rows are decoded to`() async throws {
        let rows = await samples(Self.images(2, seed: 2)).rows.rows.inputs[0]
        let size = rows.count / 2
        let sum = (0..<size).map { 3 * rows[$0] - 2 * rows[size + $0] }
        let decoder = FirstLayerDecoder(base)
        let (parts, whole) = (try decoder.sums(of: rows), try decoder.sums(of: sum))
        let pixels = parts.pixels.count / 2
        let expected = (0..<pixels).map { 3 * parts.pixels[$0] - 2 * parts.pixels[pixels + $0] }
        let largest = parts.pixels.map(\.magnitude).max() ?? 0
        expectClose(whole.pixels, expected, absolute: 1e-3 * largest)
    }

    // MARK: - Decoding by a fitted map

    @Test func `a map that is linear is found, and holds for sums of rows`() throws {
        // Images of two pixels: 20 a + 100 b and 30 b + 60, from inputs (a, b, 1).
        var random = SplitMix64(seed: 4)
        let inputs = (0..<60).flatMap { _ in
            let (a, b) = (Float(random.next() % 3), Float(random.next() % 2))
            return [a, b, 1]
        }
        let images = (0..<60).flatMap { image in
            let (a, b) = (inputs[image * 3], inputs[image * 3 + 1])
            return [UInt8(20 * a + 100 * b), UInt8(30 * b + 60)]
        }
        let decoder = try LinearImageDecoder(inputs: inputs, images: images, count: 60)
        #expect(decoder.ridge == LinearImageDecoder.ridges[0])
        let found = try decoder.images(of: [2, -1, 0.5, 0, 0, 1])
        expectClose(found.map { $0 * 255 }, [-60.0, 0, 0, 60], absolute: 0.1)
    }

    // MARK: - Telling captured images from others

    @Test func `the span of some samples' rows has them whole, and the same after mixing`() async throws {
        let own = await samples(Self.images(6, seed: 6))
        let others = await samples(Self.images(6, seed: 7))
        let weights = JointWeights(own.rows)
        let inside = try own.rows.rows.spannedShares(of: own.rows.rows, weights: weights)
        let outside = try own.rows.rows.spannedShares(of: others.rows.rows, weights: weights)
        expectClose(inside, [Double](repeating: 1, count: 6), absolute: 1e-3)
        #expect(zip(inside, outside).allSatisfy { $0 > $1 + 1e-3 })
        let mixed = try own.rows.rows.mixed()
        expectClose(try mixed.spannedShares(of: others.rows.rows, weights: weights), outside, absolute: 1e-3)
    }

    @Test func `samples that made the factors are nearer to them than others, by minus Σ aᵀ A⁻¹ a`() async throws {
        let own = await samples(Self.images(6, seed: 6))
        let factors = KroneckerForm(own.rows, settings: .init()).penalty
        let near = try factors.nearness(of: own.rows.rows)
        // A = Σ a aᵀ / R, so Σ aᵀ A⁻¹ a over all rows is R times the rank of A, and a little less by the damping.
        let whole = -near.reduce(0, +)
        let dimensions = factors.layers.map { Double($0.inputSide) }
        let positions = own.rows.rows.layout.blocks.dropLast().map { Double($0.positions) }
        let most = zip(dimensions, positions).reduce(0) { $0 + $1.0 * $1.1 }
        #expect(whole > 0.2 * most && whole < most)
        let others = await samples(Self.images(6, seed: 7))
        #expect(try factors.nearness(of: others.rows.rows).reduce(0, +) < -whole)
    }

    // MARK: - The whole measurement

    @Test func `raw rows give every captured image back, and others stay as different as they are`() async throws {
        let images = Self.images(10, seed: 8)
        let measurement = try LeakMeasurement(
            captured: await samples(images), heldOut: await samples(Self.images(10, seed: 9)),
            known: try await known(40), base: base)
        let leak = try measurement.leak(of: .rows(await samples(images).rows))
        #expect(leak.nearest.captured > 0.999 && leak.largest.captured > 0.999)
        // Random images of 784 pixels correlate by about 1/28, and the largest of ten by less than five times that.
        #expect(leak.nearest.heldOut < 5.0 / 28)
        #expect(leak.membership == 1)
        #expect(leak.recoveries.count == 8)
        #expect(Set(leak.recoveries.map(\.image)).count == 8)
        for recovery in leak.recoveries {
            let pairs = zip(recovery.image, recovery.recovered)
            #expect(pairs.allSatisfy { abs(Int($0) - Int($1)) <= 8 })
        }
    }

    @Test func `few pseudo-rows of many images give none back, and mixing changes no distance to their span`()
        async throws
    {
        let own = await samples(Self.images(24, seed: 10))
        let measurement = try LeakMeasurement(
            captured: own, heldOut: await samples(Self.images(24, seed: 11)), known: try await known(40), base: base)
        func leak(mixing: Bool) throws -> ImageLeak {
            let settings = PseudoRows.Settings(inputRank: 4, gradientRank: 4, floor: .none, mixing: mixing)
            return try measurement.leak(of: .pseudoRows(try PseudoRows(own.rows, settings: settings)))
        }
        let (plain, mixed) = (try leak(mixing: false), try leak(mixing: true))
        #expect(plain.largest.captured < 0.9 && mixed.largest.captured < 0.9)
        #expect(plain.membership > 0.6)
        expectClose(mixed.membership, plain.membership, absolute: 0.02)
        // The row of another task's images knows nothing of these.
        let other = await samples(Self.images(24, seed: 12))
        let settings = PseudoRows.Settings(inputRank: 4, gradientRank: 4, floor: .none)
        let control = try measurement.leak(of: .pseudoRows(try PseudoRows(other.rows, settings: settings)))
        expectClose(control.nearest.captured, control.nearest.heldOut, absolute: 0.05)
        #expect((0.2...0.8).contains(control.membership))
    }

    @Test func `factors are decoded by their eigenvectors, one for each input`() async throws {
        let own = await samples(Self.images(12, seed: 13))
        let measurement = try LeakMeasurement(
            captured: own, heldOut: await samples(Self.images(12, seed: 14)), known: try await known(40), base: base)
        let leak = try measurement.leak(of: .factors(KroneckerForm(own.rows, settings: .init())))
        #expect(leak.nearest.captured < 0.5 && leak.fitted.captured < 0.5)
        #expect((0...1).contains(leak.membership))
    }

    @Test func `a base that is not finite is refused`() async throws {
        var tokens = base.embedding.tokens(of: Self.images(2, seed: 1))
        tokens[30] = .nan
        let rows = await TaskRows(
            "own", tokens: tokens, samples: [0, 1], base: base, team: team, settings: CaptureSettings())
        let faulty = LeakMeasurement.Samples(rows: rows, images: Self.images(2, seed: 1))
        let measurement = try LeakMeasurement(
            captured: faulty, heldOut: faulty, known: try await known(10), base: base)
        let found = message { () throws(LaboratoryError) in _ = try measurement.leak(of: .rows(rows)) }
        #expect(
            found
                == "the leak of images cannot be measured: row 0 holds NaN or infinity; expected finite values. Look for "
                + "values in the base that are not finite.")
    }
}
