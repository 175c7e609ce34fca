// What is wrong with values of the elementwise engine together; see ``MergeMethod/fault``.

extension [MergeRequest] {
    /// A negated model where the weights that agree divide.
    ///
    /// Where only it agrees, the quotient of its vector and its weight is the vector that was not negated.
    var negationFault: String? {
        for request in self where request.divides {
            guard let model = request.models.first(where: { $0.weight < 0 }) else { continue }
            return "divides by the weights of the models that agree, which undoes the weight "
                + "\(MergeValue.number(model.weight)) of \"\(model.name)\" in tensor \"\(request.tensor)\"; expected "
                + "weights of at least 0. Write \"normalize: false\", or use \"task_arithmetic\"."
        }
        return nil
    }

    /// A density and an epsilon that give a probability outside 0 to 1.
    var probabilityFault: String? {
        for request in self {
            for model in request.models {
                guard let density = try? model.arguments.number(.density), density < 1,
                    let spread = try? model.arguments.number(.epsilon)
                else { continue }
                guard density - spread <= 0 || density + spread >= 1 else { continue }
                return "keeps elements of \"\(model.name)\" in tensor \"\(request.tensor)\" with the density "
                    + "\(MergeValue.number(density)) ± epsilon \(MergeValue.number(spread)); expected both bounds "
                    + "between 0 and 1. Lower \"epsilon\"."
            }
        }
        return nil
    }

    /// Too many models, or a density that differs between tensors, where the whole model decides what is kept.
    var trimScopeFault: String? {
        var densities: [String: Double] = [:]
        for request in self where request.arguments[.trimScope] == .word("model") {
            for model in request.models {
                guard model.place <= TrimStatistics.modelLimit else {
                    return "compares at most \(TrimStatistics.modelLimit) models as a whole; \"\(model.name)\" is "
                        + "number \(model.place). Write \"scope: tensor\"."
                }
                guard let density = try? model.arguments.number(.density) else { continue }
                if let other = densities.updateValue(density, forKey: model.name), other != density {
                    return "needs one density for the whole of \"\(model.name)\", but tensor \"\(request.tensor)\" has "
                        + "\(MergeValue.number(density)) and another \(MergeValue.number(other)). Write one number, or "
                        + "\"scope: tensor\"."
                }
            }
        }
        return nil
    }
}
