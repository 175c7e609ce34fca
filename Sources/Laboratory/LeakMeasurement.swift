import LinearAlgebra
import ReferenceModel

/// What a task's owner gives to others.
public enum SharedInputs: Sendable {
    /// The rows of each sample.
    case rows(TaskRows)
    /// K-FAC's factors A, of which the first layer's eigenvectors are decoded.
    case factors(KroneckerForm)
    /// Pseudo-rows, of this owner, of several, or of others.
    case pseudoRows(PseudoRows)
}

/// How well an owner's images can be read from what is shared.
public struct ImageLeak: Sendable, Equatable {
    /// The same number for the captured images and, as the control, for images of the same task that were not captured.
    public struct Comparison: Sendable, Equatable {
        /// Of the images that the rows were made from.
        public let captured: Double
        /// Of as many other images.
        public let heldOut: Double
    }

    /// A captured image beside what was read.
    public struct Recovery: Sendable, Equatable {
        /// `[28, 28]`.
        public let image: [UInt8]
        /// `[28, 28]`, from the darkest to the brightest pixel, and negated if its correlation is negative.
        public let recovered: [UInt8]
        /// The correlation's magnitude.
        public let correlation: Double
    }

    /// The correlation with the nearest image, decoded by the model: its mean over what is shared.
    public let nearest: Comparison
    /// The largest of these correlations.
    public let largest: Comparison
    /// The mean correlation with the nearest image, decoded by the linear map that was fitted to public images.
    public let fitted: Comparison
    /// The probability that a captured image is told from one that was not: ½ is chance, 1 certainty.
    public let membership: Double
    /// The images that were read best, each once.
    public let recoveries: [Recovery]
}

/// Measures how well an owner's images can be read from what is shared.
///
/// The reader knows the model, public images of other tasks, and what is shared. No decoder is other than linear, and
/// none reads gradients. So the numbers are what these readers reach at least, and no bound on what others could.
///
/// Source: DESIGN section 2.2, what rows tell.
public struct LeakMeasurement: Sendable {
    /// Samples with their images.
    public struct Samples: Sendable {
        /// Their rows.
        public let rows: TaskRows
        let images: [UInt8]

        /// Samples.
        ///
        /// - Parameters:
        ///   - rows: The samples' rows.
        ///   - images: Their images, `[samples, 28, 28]`.
        public init(rows: TaskRows, images: [UInt8]) {
            precondition(images.count == rows.sampleCount * pixelCount, "every sample has an image")
            self.rows = rows
            self.images = images
        }
    }

    private let captured: Samples
    private let heldOut: Samples
    private let weights: JointWeights
    private let byModel: FirstLayerDecoder
    private let fitted: LinearImageDecoder
    /// d₀ d₁ of each patch: the mean over public images.
    private let deviations: [Double]

    /// The most recovered images.
    private static let recoveryCount = 8

    /// Prepares both decoders.
    ///
    /// - Parameters:
    ///   - captured: The owner's samples.
    ///   - heldOut: As many other samples of the same task.
    ///   - known: Public images of other tasks, at least 2.
    ///   - base: The model.
    /// - Throws: ``LaboratoryError/leak(_:)`` for rows that are not finite.
    public init(
        captured: Samples, heldOut: Samples, known: FirstLayerInputs, base: BaseModel
    ) throws(LaboratoryError) {
        self.captured = captured
        self.heldOut = heldOut
        weights = JointWeights(captured.rows)
        let decoder = FirstLayerDecoder(base)
        byModel = decoder
        (fitted, deviations) = try measuring { () throws(LinearAlgebraError) in
            let sums = try decoder.sums(of: known.rows)
            let patchCount = base.layout.shape.positionCount - 1
            let imageCount = sums.weights.count / patchCount
            var means = [Double](repeating: 0, count: patchCount)
            for (place, weight) in sums.weights.enumerated() where weight != 0 {
                means[place % patchCount] += 1 / (weight * Double(imageCount))
            }
            return (
                try LinearImageDecoder(inputs: known.rows, images: known.images, count: imageCount), means
            )
        }
    }

    /// Measures what one kind of sharing tells.
    ///
    /// - Throws: ``LaboratoryError/leak(_:)`` for values that are not finite.
    public func leak(of shared: SharedInputs) throws(LaboratoryError) -> ImageLeak {
        try measuring { () throws(LinearAlgebraError) in
            let rows = try firstLayerRows(of: shared)
            let sums = try byModel.sums(of: rows)
            let decodings = [sums.asMixture(deviations: deviations), sums.asOneImage]
            let found = try compare(decodings)
            let fit = try compare([try fitted.images(of: rows)])
            let (inside, outside) = (try scores(of: captured, shared), try scores(of: heldOut, shared))
            return ImageLeak(
                nearest: .init(captured: found.captured.mean, heldOut: found.heldOut.mean),
                largest: .init(captured: found.captured.largest, heldOut: found.heldOut.largest),
                fitted: .init(captured: fit.captured.mean, heldOut: fit.heldOut.mean),
                membership: probabilityOfOrder(inside, over: outside),
                recoveries: recoveries(found.captured.nearest, decodings))
        }
    }

    private func compare(
        _ decodings: [[Double]]
    ) throws(LinearAlgebraError) -> (captured: ImageCorrelation, heldOut: ImageCorrelation) {
        (
            try ImageCorrelation(of: decodings, with: captured.images, pixelCount: pixelCount),
            try ImageCorrelation(of: decodings, with: heldOut.images, pixelCount: pixelCount)
        )
    }

    /// `[rows, positions, width + 1]`.
    ///
    /// A sums over positions, so an eigenvector has none; it is read at every position.
    private func firstLayerRows(of shared: SharedInputs) throws(LinearAlgebraError) -> [Float] {
        switch shared {
        case .rows(let rows): return rows.rows.inputs[0]
        case .pseudoRows(let form): return form.rows.inputs[0]
        case .factors(let form):
            let term = form.penalty.layers[0]
            let matrix = try Matrix<Double>(
                rows: term.inputSide, columns: term.inputSide, elements: term.input.map(Double.init))
            let vectors = try SymmetricEigen(decomposing: matrix).intoVectors().elements.map { Float($0) }
            let positions = captured.rows.rows.layout.blocks[0].positions
            return stride(from: 0, to: vectors.count, by: term.inputSide).flatMap { start in
                (0..<positions).flatMap { _ in vectors[start..<start + term.inputSide] }
            }
        }
    }

    /// How near samples are to what is shared; larger is nearer.
    private func scores(of samples: Samples, _ shared: SharedInputs) throws(LinearAlgebraError) -> [Double] {
        switch shared {
        case .rows(let rows): try rows.rows.spannedShares(of: samples.rows.rows, weights: weights)
        case .pseudoRows(let form): try form.rows.spannedShares(of: samples.rows.rows, weights: weights)
        case .factors(let form): try form.penalty.nearness(of: samples.rows.rows)
        }
    }

    private func recoveries(_ nearest: [ImageCorrelation.Nearest], _ decodings: [[Double]]) -> [ImageLeak.Recovery] {
        var seen: Set<Int> = []
        let best = nearest.sorted {
            ($1.correlation.magnitude, $0.row) < ($0.correlation.magnitude, $1.row)
        }.filter { seen.insert($0.image).inserted }
        return best.prefix(Self.recoveryCount).map { found in
            let decoded = decodings[found.decoding][found.row * pixelCount..<(found.row + 1) * pixelCount]
            return ImageLeak.Recovery(
                image: Array(captured.images[found.image * pixelCount..<(found.image + 1) * pixelCount]),
                recovered: greyLevels(decoded.map { found.correlation < 0 ? -$0 : $0 }),
                correlation: found.correlation.magnitude)
        }
    }
}

/// The number of an image's pixels.
private let pixelCount = VisionTransformerShape.imageSide * VisionTransformerShape.imageSide

/// The values from the smallest, 0, to the largest, 255; all 0 without contrast.
private func greyLevels(_ values: [Double]) -> [UInt8] {
    guard let least = values.min(), let largest = values.max(), largest > least else {
        return [UInt8](repeating: 0, count: values.count)
    }
    return values.map { UInt8((($0 - least) / (largest - least) * 255).rounded()) }
}

/// The probability that a number of the first list is above one of the second; equal numbers count half.
///
/// It is the area under the curve of right over false alarms, for any threshold.
func probabilityOfOrder(_ values: [Double], over others: [Double]) -> Double {
    let sum = values.reduce(0.0) { sum, value in
        sum + others.reduce(0.0) { $0 + ($1 < value ? 1 : $1 == value ? 0.5 : 0) }
    }
    return sum / Double(max(1, values.count * others.count))
}

/// Runs a body and makes its error into one of the measurement.
private func measuring<Value>(_ body: () throws(LinearAlgebraError) -> Value) throws(LaboratoryError) -> Value {
    do { return try body() } catch { throw .leak(error) }
}
