import TaskArithmetic

/// The output of `kfacctl help merge`: the registry of merge methods as text.
enum MergeHelp {
    /// Every method with its formula.
    static var table: String {
        var table = TextTable(["METHOD", "MERGES TO", "PAPER"])
        for method in MergeMethod.all { table.add([method.name, method.formula, method.paper.citation]) }
        return """
            \(table.text)

            θ₀ is the base, θ_t a model, Δ_t = θ_t − θ₀, w_t its weight, α the job's "lambda".
            "kfacctl help merge METHOD" has the parameters of one; kfacd-job(5) has the rest.
            "kfacctl merge --help" explains the command that runs a mergekit configuration.
            """
    }

    /// The page of one method, with everything that a job file may set for it.
    static func page(of method: MergeMethod) -> String {
        var lines = ["\(method.name): \(method.formula)", "", method.summary]
        if !method.aliases.isEmpty { lines.append("Other names: \(method.aliases.joined(separator: ", ")).") }
        let link = method.paper.arXiv.map { ", https://arxiv.org/abs/\($0)" } ?? ""
        lines += ["Source: \(method.paper.citation)\(link).", ""]
        lines += [needs(of: method), scope(of: method), ""]
        return (lines + [parameters(of: method)]).joined(separator: "\n")
    }

    private static func needs(of method: MergeMethod) -> String {
        let models =
            switch (method.modelCount.lowerBound, method.modelCount.upperBound) {
            case (1, .max): "models"
            case (let least, .max): "at least \(least) models"
            case (let least, let most): least == most ? "\(least) models" : "\(least) to \(most) models"
            }
        let base =
            switch method.base {
            case .never: "a base, which contributes nothing itself"
            case .whenListed: "a base, which counts with its weight when it is listed"
            case .whenListedOrWeighted:
                "no base; one that is listed, or given with a weight for all models, counts with its weight"
            case .always: "a base, which is one of them"
            case .whenGiven: "no base; one that is given is one of them"
            case .origin: "no base; one that is given is the origin of their vectors"
            }
        let curvature =
            method.needsFactors
            ? "captures or factors of every model"
            : method.scope.takesFactors(MergeArguments())
                ? "captures or factors of every model if it shall use their covariances" : nil
        let inverses: String? =
            switch method.scope.inverses {
            case .none: nil
            case .all: "the inverses of their sum, which it plans itself"
            case .leaveOneOut: "for each model the inverses of the others' sum, which it plans itself"
            }
        return "Needs: \(([models, base] + [curvature, inverses].compactMap { $0 }).joined(separator: "; "))."
    }

    private static func scope(of method: MergeMethod) -> String {
        guard let statistics = method.statistics else { return scope(method.scope) }
        let rounds = statistics.rounds == 1 ? "once" : "\(statistics.rounds) times"
        let condition = statistics.condition.map { " with \"\($0.parameter.name): \($0.value)\"" } ?? ""
        return "\(scope(method.scope)) Before\(condition), it measures the whole models \(rounds), on workers."
    }

    private static func scope(_ scope: MergeScope) -> String {
        switch scope {
        case .elements: "Merges: element by element, in the coordinator."
        case .tensors(_, let measured):
            measured == nil
                ? "Merges: one tensor at a time, on workers."
                : "Merges: element by element, in the coordinator, after workers measured each tensor; or one tensor at "
                    + "a time, on workers, where rows, transposed parts or an adapter need it."
        case .matrices(_, _, let captured):
            "Merges: one matrix at a time, on workers; other tensors element by element."
                + (captured == nil ? "" : " With factors: one layer or parameter at a time.")
        case .blocks(_, _, let others):
            "Merges: one layer or parameter with factors at a time, on workers; other tensors "
                + (others.isWeightedSum ? "take the mean." : "element by element.")
        }
    }

    private static func parameters(of method: MergeMethod) -> String {
        var table = TextTable(["PARAMETER", "VALUE", "DEFAULT", "GIVEN BY", "MEANING"])
        for parameter in method.parameters {
            let level =
                switch parameter.level {
                case .job: "job"
                case .model: "model"
                case .jobAndModel: "job or model"
                }
            let value = parameter.expectation + (parameter.variesByTensor ? " *" : "")
            table.add([parameter.name, value, parameter.defaultText, level, parameter.meaning])
        }
        guard method.parameters.contains(where: \.variesByTensor) else { return table.text }
        return "\(table.text)\n\n* also filtered by tensor name; numbers also as a gradient over the depth"
    }
}
