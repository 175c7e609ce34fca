/// A quadratic form Ω(τ) ≥ 0 that a training adds to its loss, times β.
///
/// Source: DESIGN section 2.2.
public protocol QuadraticPenalty: Sendable {
    /// Adds scale · ∇Ω(τ) to a gradient.
    ///
    /// - Parameters:
    ///   - vector: τ, in the layout's order.
    ///   - scale: β.
    ///   - gradient: The gradient is added to it.
    ///   - scratch: Buffers that are kept between steps.
    /// - Returns: Ω(τ).
    func addGradient(
        at vector: [Float], scale: Float, to gradient: inout [Float], scratch: inout PenaltyScratch
    ) -> Double

    /// The number of fp32 elements that must be kept and shared; of a symmetric matrix its triangle counts.
    var storedElementCount: Int { get }
}

/// A penalty that stands for the Gauss-Newton matrix of tasks, and is built from their rows in the lab.
public protocol CurvatureForm: QuadraticPenalty {
    /// How a form is built.
    associatedtype Settings: Sendable

    /// Builds the form of one task.
    ///
    /// - Throws: ``LaboratoryError/compression(_:)`` for rows that are not finite.
    init(_ rows: TaskRows, settings: Settings) throws(LaboratoryError)

    /// Combines forms of equal settings, each of one or more tasks, into one form of all their tasks.
    ///
    /// - Throws: ``LaboratoryError/usage(_:)`` for no form, or ``LaboratoryError/compression(_:)``.
    static func accumulated(_ forms: [Self]) throws(LaboratoryError) -> Self
}

/// Buffers of a penalty's evaluation.
public struct PenaltyScratch: Sendable {
    var delta: [Float] = []
    var left: [Float] = []
    var product: [Float] = []
    /// X of pseudo-rows, `[gradient rows, input rows]`.
    var pairs: [Float] = []

    /// Starts with empty buffers, which grow to the largest layer.
    public init() {}

    mutating func resize(_ count: Int) {
        guard left.count < count else { return }
        left = [Float](repeating: 0, count: count)
        product = left
    }
}
