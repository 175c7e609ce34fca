import TaskArithmetic
import Yams

/// The parameters of merge methods, as the registry lists them.
extension JobFileReader {
    /// Reads the parameters of the job or of one model.
    ///
    /// As in mergekit, parameters of other methods have no effect; they are a notice. If the method could not be read,
    /// every registered parameter is accepted.
    mutating func readParameters(_ node: Node, _ method: MergeMethod?, isGlobal: Bool) -> MergeParameters {
        let registered = MergeMethod.allParameters
        let taken = (method?.parameters ?? registered).filter { isGlobal ? $0.isOfJob : $0.isOfModel }
        let accepted = MergeParameter.acceptedWithoutEffect
        let entries = entries(
            node, of: isGlobal ? "\"parameters\"" : "a model's \"parameters\"",
            keys: taken.map(\.name) + (isGlobal ? accepted : []),
            nullable: Set(taken.map(\.name)).union(accepted),
            ineffective: MergeParameter.mergekitNames.union(registered.map(\.name)).union(accepted))
        var parameters: MergeParameters = [:]
        for parameter in taken {
            parameters[parameter.name] = entries[parameter.name].flatMap { readSetting($0, of: parameter) }
        }
        return parameters
    }

    private mutating func readSetting(_ node: Node, of parameter: MergeParameter) -> ParameterSetting? {
        switch parameter.kind {
        case .number(let range):
            let read: ParameterSetting? =
                parameter.variesByTensor
                ? setting(node, parameter.name) : number(node, parameter.name).map { .scalar($0) }
            guard let wrong = read?.numbers.first(where: { !range.contains($0) }) else { return read }
            let most = NumberRange.largestMagnitude
            let isTooLarge = wrong.magnitude > most
            let expected =
                isTooLarge ? "a magnitude of at most \(MergeValue.number(most))" : parameter.expectation
            report(node, "\"\(parameter.name)\" is \(MergeValue.number(wrong)); expected \(expected).")
            return nil
        case .truth:
            return parameter.variesByTensor
                ? truthSetting(node, parameter.name) : truth(node, parameter.name).map { .scalar($0 ? 1 : 0) }
        case .count(let range):
            guard case .scalar(let scalar) = node, case .number(let value) = YAMLScalar(scalar),
                let count = Int(exactly: value), range.contains(count)
            else {
                report(node, "\"\(parameter.name)\" must be \(parameter.expectation).")
                return nil
            }
            return .scalar(Double(count))
        case .word(let words):
            return word(node, parameter.name, among: words) { words.contains($0) ? .word($0) : nil }
        }
    }
}
