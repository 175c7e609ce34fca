import Console
import Identifiers
import TaskArithmetic

/// What to merge with which weights, by the interference of a job's task vectors.
///
/// Every prediction is for the plain sum θ_0 + α Σ w_i Δ_i, the method `task_arithmetic`.
///
/// Source: DESIGN section 2.3.
struct Advice {
    /// The drifts of a merged model.
    struct Prediction {
        /// What is merged, in words.
        let name: String
        /// α w_i of each task vector.
        let coefficients: [Double]
        /// The drift of each task; `nil` for a task that does not take part.
        let drifts: [Double?]
        /// The same, divided by that of the base, which is 1 then; `nil` for a task without a vector of its own too.
        let relativeDrifts: [Double?]
        /// The weighted sum of the drifts.
        let total: Double
        /// The same, divided by that of the base; `nil` if that is 0.
        let relativeTotal: Double?
    }

    /// How strongly a vector moves another task, and where.
    struct Pair {
        let vector: String
        let task: String
        /// Relative to the task's own vector.
        let strength: Double
        /// The layers with the largest shares, largest first.
        let layers: [(name: String, share: Double)]
    }

    /// The strongest pairs that are shown.
    private static let pairsMax = 5
    /// The layers of a pair that are shown.
    private static let layersMax = 3

    let measured: MeasuredInterference
    /// w_i as in the job.
    let weights: [Double]
    /// The vectors whose weight depends on the tensor, for which 1 stands.
    let varyingWeights: [String]
    /// The merged vectors whose tasks have no curvature, so that nothing tells their best weight.
    let vectorsWithoutCurvature: [String]
    /// The job's α and weights; 1 stands for an α that depends on the tensor.
    let asInJob: Prediction
    /// The best α with the job's weights.
    let scale: DriftModel.Scale
    let atBestScale: Prediction
    /// The best weight of each vector.
    let best: DriftModel.Coefficients
    let atBestWeights: Prediction
    /// The strongest pairs of other tasks, strongest first.
    let pairs: [Pair]
    /// The number of pairs of what is merged.
    let pairCount: Int
    /// The tasks that have no vector of their own, and take part.
    let tasksWithoutModel: [String]
    /// The tasks that lack curvature which others have, with the number of these layers.
    let partlyMeasured: [(task: String, layers: Int)]

    /// Computes all predictions.
    ///
    /// - Throws: ``CommandFailure`` for a job with too many tasks, `TaskArithmeticError` when memory is short.
    init(_ measured: MeasuredInterference) throws {
        guard let forms = measured.forms else {
            throw CommandFailure(
                .badInput,
                "the report has no pairs of task vectors, since the job has \(measured.vectors.count) of them; expected at "
                    + "most 150. Name a job of fewer models.")
        }
        self.measured = measured
        let vectors = measured.vectors
        varyingWeights = zip(vectors, measured.weights).filter { $1 == nil }.map(\.0)
        let given = measured.weights.map { $0 ?? 1 }
        let sum = given.reduce(0, +)
        let weights = measured.dividesWeights && sum != 0 ? given.map { $0 / sum } : given
        self.weights = weights
        vectorsWithoutCurvature = zip(vectors, weights).filter { !measured.tasks.contains($0) && $1 != 0 }.map(\.0)
        let participants = measured.tasks.indices.filter { task in
            measured.vector(of: task).map { weights[$0] != 0 } ?? true
        }
        let model = Self.model(measured, forms, weights, participants)
        func prediction(_ name: String, _ coefficients: [Double]) -> Prediction {
            Self.prediction(name, coefficients, model, participants, taskCount: measured.tasks.count)
        }
        let alpha = measured.lambda ?? 1
        asInJob = prediction("the job's α and weights", weights.map { $0 * alpha })
        let scale = model.bestScale(of: weights)
        self.scale = scale
        atBestScale = prediction("the best α and the job's weights", weights.map { $0 * scale.value })
        let best = try model.bestCoefficients(
            fixed: zip(vectors, weights).map { $1 == 0 || !measured.tasks.contains($0) ? $1 : nil })
        self.best = best
        atBestWeights = prediction("the best weights", best.values)
        let strengths = Self.strengths(of: measured, weights, participants)
        pairCount = strengths.count
        pairs = Self.strongest(of: strengths, measured)
        tasksWithoutModel = participants.filter { measured.vector(of: $0) == nil }.map { measured.tasks[$0] }
        partlyMeasured = Self.partlyMeasured(measured, participants)
    }

    private static func model(
        _ measured: MeasuredInterference, _ forms: [InterferenceForm], _ weights: [Double], _ participants: [Int]
    ) -> DriftModel {
        let total = participants.reduce(0) { $0 + measured.curvatureWeights[$1] }
        return DriftModel(
            participants.map { task in
                var target = weights.map { _ in 0.0 }
                // A task with a negative weight is to be negated: its own place is θ_0 − Δ.
                if let own = measured.vector(of: task) { target[own] = weights[own] < 0 ? -1 : 1 }
                let share = total > 0 ? measured.curvatureWeights[task] / total : 1 / Double(participants.count)
                return DriftModel.Task(form: forms[task], share: share, target: target)
            }, vectorCount: weights.count)
    }

    private static func prediction(
        _ name: String, _ coefficients: [Double], _ model: DriftModel, _ participants: [Int], taskCount: Int
    ) -> Prediction {
        let base = coefficients.map { _ in 0.0 }
        var drifts = [Double?](repeating: nil, count: taskCount)
        var relative = drifts
        for (position, task) in participants.enumerated() {
            let drift = model.drift(of: position, at: coefficients)
            let whole = model.drift(of: position, at: base)
            drifts[task] = drift
            relative[task] = whole > 0 ? drift / whole : nil
        }
        let (total, whole) = (model.total(at: coefficients), model.total(at: base))
        return Prediction(
            name: name, coefficients: coefficients, drifts: drifts, relativeDrifts: relative, total: total,
            relativeTotal: whole > 0 ? total / whole : nil)
    }

    private typealias Strength = (vector: Int, task: Int, strength: Double)

    /// How strongly each vector of weight moves each other task that takes part.
    private static func strengths(
        of measured: MeasuredInterference, _ weights: [Double], _ participants: [Int]
    ) -> [Strength] {
        measured.pairs.compactMap { pair in
            guard weights[pair.vector] != 0, participants.contains(pair.task) else { return nil }
            return measured.normalized[pair.vector][pair.task].map { (pair.vector, pair.task, $0) }
        }
    }

    /// The tasks without curvature in some of the layers in which others have it.
    private static func partlyMeasured(
        _ measured: MeasuredInterference, _ participants: [Int]
    ) -> [(task: String, layers: Int)] {
        participants.compactMap { task in
            let lacking = measured.layers.count { layer in
                layer.matrix.allSatisfy { $0[task] == nil } && layer.matrix.contains { $0.contains { $0 != nil } }
            }
            return lacking > 0 ? (measured.tasks[task], lacking) : nil
        }
    }

    private static func strongest(of found: [Strength], _ measured: MeasuredInterference) -> [Pair] {
        return found.sorted { $0.strength > $1.strength }.prefix(pairsMax).map { pair in
            let whole = measured.matrix[pair.vector][pair.task] ?? 0
            let shares = measured.layers.compactMap { layer in
                layer.matrix[pair.vector][pair.task].map { (name: layer.name, share: whole > 0 ? $0 / whole : 0) }
            }
            return Pair(
                vector: measured.vectors[pair.vector], task: measured.tasks[pair.task], strength: pair.strength,
                layers: Array(shares.filter { $0.share > 0 }.sorted { $0.share > $1.share }.prefix(layersMax)))
        }
    }
}

// MARK: - In words

extension Advice {
    /// A gain below this share of the total is not worth other weights.
    private static let smallGain = 0.01
    /// A drift above this share of the base's leaves little of the tasks.
    private static let largeDrift = 0.5

    /// What to change of the job.
    private enum Change {
        case none, scale, weights
    }

    /// A change that lowers the predicted total drift by 1 % or more.
    private var change: Change {
        let (job, scaled, weighted) = (asInJob.total, atBestScale.total, atBestWeights.total)
        if weighted < scaled * (1 - Self.smallGain), weighted < job * (1 - Self.smallGain) { return .weights }
        return scaled < job * (1 - Self.smallGain) ? .scale : .none
    }

    /// What to do.
    var sentence: String {
        let (job, scaled, weighted) = (asInJob.total, atBestScale.total, atBestWeights.total)
        let percent = { (part: Double, whole: Double) in "\(Quantity.rounded(100 * (1 - part / whole), 1)) %" }
        guard weights.contains(where: { $0 != 0 }) else {
            return "every model has the weight 0, so nothing is merged and there is nothing to advise."
        }
        guard job > 0 else { return "merge with the job's α and weights: no drift is predicted." }
        var words: String
        switch change {
        case .weights:
            words = "merge with the best weights, which lower the predicted total drift by \(percent(weighted, job))"
            if scaled < job * (1 - Self.smallGain) {
                words += "; the best α alone lowers it by \(percent(scaled, job))"
            }
        case .scale:
            words =
                "merge with α = \(Quantity.rounded(scale.value, 4)) and the job's weights, which lowers the predicted "
                + "total drift by \(percent(scaled, job)); other weights lower it by less than 1 % more"
        case .none:
            words = "merge with the job's α and weights: no others lower the predicted total drift by 1 %"
        }
        if let left = [asInJob, atBestScale, atBestWeights].compactMap(\.relativeTotal).min(), left > Self.largeDrift {
            words +=
                ". Even so the predicted total drift is \(Quantity.rounded(100 * left, 0)) % of the base's: weights do not "
                + "resolve the interference. \(remedy), or leave a task of the strongest pair out"
        }
        return words + "."
    }

    /// A merge that weighs directions, not models.
    private var remedy: String {
        ["kfac", "kfac_exact"].contains(measured.method)
            ? "Keep \"merge_method: \(measured.method)\"" : "Consider \"merge_method: kfac\""
    }

    /// What the predictions do not know.
    var remarks: [String] {
        var remarks: [String] = []
        if measured.method != "task_arithmetic" {
            remarks.append(
                "the predictions are for the plain sum, \"task_arithmetic\"; the job's method is \"\(measured.method)\"."
            )
        }
        if !varyingWeights.isEmpty {
            remarks.append(
                "the weight of \(varyingWeights.listed(limit: 8)) depends on the tensor; 1 stands for it here.")
        }
        if measured.lambda == nil {
            remarks.append("the job's \"lambda\" depends on the tensor; 1 stands for it here.")
        }
        if !vectorsWithoutCurvature.isEmpty {
            remarks.append(
                "\(vectorsWithoutCurvature.listed(limit: 8)): no curvature of this task, so its own drift is unknown, and "
                    + "the best weights leave its weight as in the job.")
        }
        if !scale.isUnique {
            remarks.append("the weighted vectors cancel under every task's curvature: α has no effect.")
        }
        if !best.isUnique {
            remarks.append(
                "the best weights are not unique, since some vectors are combinations of others under every task's "
                    + "curvature; these are the ones of least norm.")
        }
        let negated = zip(measured.vectors, zip(weights, best.values)).filter { $1.0 > 0 && $1.1 < 0 }.map(\.0)
        if !negated.isEmpty {
            remarks.append(
                "the best weights of \(negated.listed(limit: 8)) are negative: other vectors hold what these add. As a "
                    + "weight of a job that means to negate the task; leave it out, or write 0, and ask again.")
        }
        if !tasksWithoutModel.isEmpty {
            remarks.append(
                "\(tasksWithoutModel.listed(limit: 8)): no model, so the drift is not relative, and 0 at the base.")
        }
        if !partlyMeasured.isEmpty {
            let names = partlyMeasured.map { "\($0.task) (\($0.layers) of \(measured.layers.count))" }
            remarks.append(
                "no curvature in some of the layers, which count as no drift of the task there: "
                    + "\(names.listed(limit: 8)). Its weight may be too small.")
        }
        if let coverage { remarks.append(coverage) }
        return remarks
    }

    /// Which share of the vectors no curvature covers; `nil` if it covers all.
    private var coverage: String? {
        let shares = zip(measured.vectors, measured.uncoveredShares).compactMap { vector, share in
            share.map { (vector: vector, share: $0) }
        }
        guard let most = shares.max(by: { $0.share < $1.share }), most.share > 0 else { return nil }
        let named = shares.sorted { $0.share > $1.share }.prefix(3)
            .map { "\(Quantity.rounded(100 * $0.share, 2)) % of \($0.vector)" }.joined(separator: ", ")
        return
            "curvature is missing for a part of |Δ|²: \(named)\(shares.count > 3 ? ", less of the others" : ""). The "
            + "predictions know nothing of it."
    }

    /// Lines to paste into a job file: α, and below each model's entry its weight.
    var yaml: [String] {
        let (alpha, given) =
            switch change {
            case .none: (measured.lambda ?? 1, weights)
            case .scale: (scale.value, weights)
            case .weights: (1, best.values)
            }
        return ["merge_method: task_arithmetic", "parameters: {lambda: \(Self.text(alpha))}"]
            + zip(measured.vectors, given).map(Self.line)
    }

    private static func line(_ vector: String, _ weight: Double) -> String {
        "    parameters: {weight: \(text(weight))}  # \(vector.printable)"
    }

    /// A number with six decimals at most.
    private static func text(_ value: Double) -> String { "\((value * 1e6).rounded() / 1e6)" }
}
