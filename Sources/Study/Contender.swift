public import Laboratory

/// A penalty that a run compares with the study's methods; validation images choose its β.
///
/// Its text is a form and settings, separated by commas: `pseudo-rows,ranks=32x128,floor=complement,beta=50/100/200`.
public struct Contender: Sendable, Equatable {
    /// The forms that the lab builds from rows.
    public enum Form: Sendable, Hashable {
        /// K-FAC: equation 7 or 8.
        case kronecker(KroneckerForm.Settings)
        /// The joint form.
        case pseudoRows(PseudoRows.Settings)
    }

    /// What the vectors are trained under.
    let penalty: StudyMethod.Penalty
    /// The strengths to choose from, ascending.
    let betas: [Double]
    /// The samples and probes of the form.
    let source: FactorSource
    /// The number of steps from one gradient of the penalty to the next.
    let interval: Int
    /// The inputs in a step, for a penalty that needs inputs; nil for as many as the task's own.
    let penaltyBatchSize: Int?
    /// The id in results: everything but β.
    let id: String

    /// The method of one β; with several, it is an ablation's.
    func method(beta: Double, stepCount: Int) -> StudyMethod {
        StudyMethod(
            id,
            FineTuningRecipe(
                stepCount: stepCount, penaltyBatchSize: penaltyBatchSize, beta: beta, penaltyInterval: interval),
            penalty, factors: source, setting: "β = \(Self.text(beta))")
    }

    /// The number without a fraction of 0.
    static func text(_ number: Double) -> String {
        Int(exactly: number).map(String.init) ?? "\(number)"
    }
}

extension Contender {
    /// Parses a contender.
    ///
    /// - Throws: ``Laboratory/LaboratoryError/usage(_:)`` for an unknown form or setting, or a value out of range.
    public init(parsing text: String) throws(LaboratoryError) {
        var fields = try ContenderFields(text)
        let penalty = try Self.penalty(&fields)
        self.penalty = penalty
        var source = FactorSource()
        var interval = 1
        var penaltyBatchSize: Int?
        if penalty.usesInputs {
            let ownSize = FineTuningRecipe().batchSize
            let size = try fields.integer("batch", default: ownSize)
            if size != ownSize { penaltyBatchSize = size }
        } else {
            source.sampleCount = try fields.integer("samples", default: source.sampleCount)
            source.probeCount = try fields.integer(
                "probes", default: source.probeCount, in: 1...CaptureSettings.probeLimit)
            interval = try fields.integer("every", default: 1)
        }
        betas = try fields.numbers("beta", default: penalty.usesInputs ? 30 : 100)
        self.source = source
        self.interval = interval
        self.penaltyBatchSize = penaltyBatchSize
        try fields.requireEnd()
        var id = [fields.form]
        switch penalty {
        case .form(.kronecker(let settings)):
            if settings.accumulation == .perTask { id.append("per-task") }
            if settings.balance == .trace { id.append("trace") }
            if settings.oneDimensional == .sum { id.append("sum") }
        case .form(.pseudoRows(let settings)):
            id.append("\(settings.inputRank)x\(settings.gradientRank)")
            switch settings.floor {
            case .none: id.append("alone")
            case .factors(let share): id.append("kfac\(share)")
            case .complement: id.append("complement")
            }
            if settings.centroidCount > 0 { id.append("centroids\(settings.centroidCount)") }
            if settings.mixing { id.append("mixed") }
        case .inputMixture(let settings): id.append("\(settings.componentCount)x\(settings.rank)")
        case .curvature(let form): id.append(form == .perTask ? "per-task" : "accumulated")
        default: break
        }
        if source.sampleCount != FactorSource().sampleCount { id.append("samples\(source.sampleCount)") }
        if source.probeCount != FactorSource().probeCount { id.append("probes\(source.probeCount)") }
        if let penaltyBatchSize { id.append("batch\(penaltyBatchSize)") }
        if interval != 1 { id.append("every\(interval)") }
        self.id = id.joined(separator: "-")
    }

    private static func penalty(_ fields: inout ContenderFields) throws(LaboratoryError) -> StudyMethod.Penalty {
        switch fields.form {
        case "kronecker":
            let settings = KroneckerForm.Settings(
                accumulation: try fields.choice("accumulation", default: .accumulated),
                balance: try fields.choice("balance", default: .none),
                oneDimensional: try fields.choice("one-dimensional", default: .mean))
            guard settings.accumulation == .accumulated || settings.oneDimensional == .mean else {
                throw fields.error("one-dimensional=sum has no effect with accumulation=per-task")
            }
            return .form(.kronecker(settings))
        case "pseudo-rows":
            let ranks = try fields.product(
                "ranks", default: (32, 128), of: "the ranks of inputs and gradients")
            let floor = try fields.floor("floor")
            let mixing: Mixing = try fields.choice("mixing", default: .off)
            let centroidCount = try fields.integer("centroids", default: 0)
            return .form(
                .pseudoRows(
                    PseudoRows.Settings(
                        inputRank: ranks.0, gradientRank: ranks.1, floor: floor, mixing: mixing == .on,
                        centroidCount: centroidCount)))
        case "daemon":
            let accumulation: KroneckerForm.Settings.Accumulation = try fields.choice(
                "accumulation", default: .accumulated)
            return .curvature(accumulation == .perTask ? .perTask : .accumulated)
        case "jacobian": return .jacobian
        case "input-mixture":
            let size = try fields.product(
                "components", default: (128, 8), of: "the number of components and their rank")
            return .inputMixture(InputMixture.Settings(componentCount: size.0, rank: size.1))
        default:
            throw fields.error(
                "the form \"\(fields.form)\" is unknown; there are daemon, kronecker, pseudo-rows, input-mixture and "
                    + "jacobian")
        }
    }
}

/// Whether pseudo-rows are rotated among themselves.
private enum Mixing: String, CaseIterable {
    case off, on
}

/// The form and the settings of a contender's text.
private struct ContenderFields {
    let text: String
    let form: String
    private var values: [String: String] = [:]

    init(_ text: String) throws(LaboratoryError) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        self.text = text
        form = parts[0]
        for part in parts.dropFirst() {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard pair.count == 2, values[pair[0]] == nil else {
                throw error("\"\(part)\" is not one more setting; expected NAME=VALUE, each name once")
            }
            values[pair[0]] = pair[1]
        }
    }

    func error(_ problem: String) -> LaboratoryError { .usage("contender \"\(text)\": \(problem).") }

    mutating func integer(
        _ name: String, default value: Int, in range: ClosedRange<Int> = 1...65_536
    ) throws(LaboratoryError) -> Int {
        guard let text = values.removeValue(forKey: name) else { return value }
        guard let number = Int(text), range ~= number else {
            throw error("\(name) is \"\(text)\"; expected an integer in \(range)")
        }
        return number
    }

    /// Different positive numbers, ascending.
    mutating func numbers(_ name: String, default value: Double) throws(LaboratoryError) -> [Double] {
        guard let text = values.removeValue(forKey: name) else { return [value] }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { Double($0) }.filter { $0 > 0 && $0.isFinite }
        guard numbers.count == parts.count, Set(numbers).count == numbers.count else {
            throw error("\(name) is \"\(text)\"; expected different positive numbers, separated by /")
        }
        return numbers.sorted()
    }

    /// Two positive numbers with an x between them.
    mutating func product(
        _ name: String, default value: (Int, Int), of meaning: String
    ) throws(LaboratoryError) -> (Int, Int) {
        guard let text = values.removeValue(forKey: name) else { return value }
        let parts = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count == 2, let first = parts[0], let second = parts[1], first > 0, second > 0 else {
            throw error("\(name) is \"\(text)\"; expected \(meaning), such as \(value.0)x\(value.1)")
        }
        return (first, second)
    }

    mutating func floor(_ name: String) throws(LaboratoryError) -> PseudoRows.Floor {
        switch values.removeValue(forKey: name) ?? "complement" {
        case "complement": return .complement
        case "none": return .none
        case let text:
            guard let share = Float(text), share > 0, share.isFinite else {
                throw error("\(name) is \"\(text)\"; expected complement, none, or a positive share of K-FAC")
            }
            return .factors(share)
        }
    }

    mutating func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, default value: Choice
    ) throws(LaboratoryError) -> Choice where Choice.RawValue == String {
        guard let text = values.removeValue(forKey: name) else { return value }
        guard let choice = Choice(rawValue: text) else {
            let names = Choice.allCases.map(\.rawValue).joined(separator: " or ")
            throw error("\(name) is \"\(text)\"; expected \(names)")
        }
        return choice
    }

    func requireEnd() throws(LaboratoryError) {
        guard let name = values.keys.min() else { return }
        throw error("the form \(form) has no setting \"\(name)\"")
    }
}
