import Identifiers
import TaskArithmetic

extension JobSpec {
    /// All remarks about the job: about its file, about the files that it names, and about both together.
    ///
    /// Each remark is added where it is found: by the reader of the job file to ``notices``, by the reader of the files
    /// to ``JobInventory/notices``, and here when it follows from both.
    public func allNotices(against inventory: JobInventory) -> [JobNotice] {
        JobExamination(self, inventory).notices
    }

    /// The notices of an examination of this job.
    func notices(in examination: JobExamination) -> [JobNotice] {
        let inventory = examination.inventory
        let settings = MergeSettings(spec: self, base: inventory.base)
        let ofCurvature = covarianceNotices + precisionNotices(inventory) + jointRowsNotices
        return JobNotice.limited(
            notices + inventory.notices + baseNotices + averageNotices(inventory, settings)
                + depthNotices(inventory, settings) + copyNotices(inventory) + extrapolationNotices
                + (outputs.contains(.merged) ? IdleFilters(self, of: inventory.base).notices : [])
                + examination.comparisons.flatMap(\.notices)
                + examination.configurations.notices + tasks.compactMap { inventory.renamings[$0.name]?.notice }
                + missingCurvatureNotices(examination.selection, inventory) + examination.matrices.notices
                + quantizationNotices(inventory) + ofCurvature)
    }

    // MARK: - The base among the models

    private var baseNotices: [JobNotice] {
        guard outputs.contains(.merged) else { return [] }
        if let listedBase {
            guard method.base == .never || isBaseOrigin else { return [] }
            let effect =
                isBaseOrigin
                ? "it is the origin of the others' vectors, and its weight has no effect"
                : "it contributes nothing"
            return [
                JobNotice(
                    at: listedBase.location,
                    "this entry is the base itself; under \"\(method.name)\" \(effect), as in mergekit.")
            ]
        }
        guard method.base == .whenListedOrWeighted else { return [] }
        let counted =
            parameters[.weight] == nil || !slices.isEmpty
            ? "so it does not count in the average and only gives the layout. List it to let it count."
            : "and counts with the weight of the job's \"parameters\", as in mergekit. Remove \"base_model\" to leave "
                + "it out."
        return [JobNotice(at: baseModel.location, "the base is not listed among the models, \(counted)")]
    }

    // MARK: - Covariances

    /// Factors that a method could take, but not for every task.
    private var covarianceNotices: [JobNotice] {
        guard canMergeWithFactors, !mergesWithFactors, parameters[.covariance] == nil,
            mergedTasks.contains(where: \.hasCurvature),
            let lacking = mergedTasks.first(where: { !$0.hasCurvature })
        else { return [] }
        return [
            JobNotice(
                at: lacking.location,
                "\"\(method.name)\" estimates all covariances, because task \"\(lacking.name)\" has neither "
                    + "\"captures\" nor \"factors\".")
        ]
    }

    // MARK: - Weights

    private func averageNotices(_ inventory: JobInventory, _ settings: MergeSettings) -> [JobNotice] {
        guard outputs.contains(.merged) else { return [] }
        guard method.cancellingWeights == .notDivided, parameters[MergeParameter.normalizeName] != nil else {
            return []
        }
        let cancelled = inventory.base.tensors.keys.sorted().first { tensor in
            settings.averages(tensor: tensor) && !settings.divides(tensor: tensor)
        }
        guard let cancelled else { return [] }
        return [
            JobNotice(
                at: fileName,
                "the weights of tensor \"\(cancelled)\" sum to zero, so they are not divided by their sum, as in "
                    + "mergekit.")
        ]
    }

    // MARK: - Interpolation

    /// Shares of the way between two models that lie outside of it.
    private var extrapolationNotices: [JobNotice] {
        guard outputs.contains(.merged), method.ownParameters.contains(.interpolation),
            let outside = parameters[.interpolation]?.numbers.first(where: { !(0...1).contains($0) })
        else { return [] }
        return [
            JobNotice(
                at: fileName,
                "\"t\" is \(outside), so \"\(method.name)\" extrapolates beyond the \(outside < 0 ? "base" : "model"); "
                    + "between both it is 0 to 1.")
        ]
    }

    // MARK: - Gradients over the depth

    private func depthNotices(_ inventory: JobInventory, _ settings: MergeSettings) -> [JobNotice] {
        guard outputs.contains(.merged) else { return [] }
        let places = settings.placesOutsideBlocks
        var found: [JobNotice] = []
        // Under slices these have mergekit's value.
        if !places.behind.isEmpty, slices.isEmpty {
            found.append(
                JobNotice(
                    at: fileName,
                    "gradients end behind the blocks: \(places.behind.quotedList) take the last value. (mergekit 0.1 "
                        + "gives them the first.) Use a filter for another one."))
        }
        if !places.unknown.isEmpty {
            found.append(
                JobNotice(
                    at: fileName,
                    "neither its name nor the order in the file tells where in the network "
                        + "\(places.unknown.quotedList) stand\(places.unknown.count == 1 ? "s" : ""); "
                        + (slices.isEmpty ? "gradients give the first value." : "the first slice has the parameters.")
                        + " Use a filter for another one."))
        }
        return found
    }

    // MARK: - Weights under two names

    /// Weights that the base stores twice, where the job says something of each name.
    private func copyNotices(_ inventory: JobInventory) -> [JobNotice] {
        guard outputs.contains(.merged) else { return [] }
        let ignored = IgnoredTensors(self)
        return inventory.base.copies.sorted { $0.key < $1.key }.compactMap { name, first in
            let one = "the base holds one weight as \"\(name.excerpt)\" and as \"\(first.excerpt)\""
            guard ignored.contains(name) == ignored.contains(first) else {
                let taken = ignored.contains(name) ? name : first
                return JobNotice(
                    at: inventory.base.location,
                    "\(one), and \"ignore\" takes \"\(taken.excerpt)\": both are copied, so that they stay one.")
            }
            guard dependsOnTensor else { return nil }
            return JobNotice(
                at: inventory.base.location,
                "\(one): both have the parameters of \"\(first.excerpt)\", so that they stay one.")
        }
    }

    /// Whether any parameter depends on a tensor's name or place.
    private var dependsOnTensor: Bool {
        let levels = [parameters, listedBase?.parameters].compactMap { $0 } + tasks.map(\.parameters)
        return levels.contains(where: \.dependOnTensor)
    }

    /// Whether any parameter depends on a tensor's place in the network.
    var dependsOnPlace: Bool {
        parameters.dependOnPlace || listedBase?.parameters.dependOnPlace ?? false
            || tasks.contains { $0.parameters.dependOnPlace }
    }
}

extension [String] {
    /// The first few names in quotes, and the number of the rest; no message prints an unbounded list.
    var quotedList: String {
        let shown = 4
        let names = prefix(shown).map { "\"\($0.excerpt)\"" }.joined(separator: ", ")
        return count > shown ? "\(names) and \(count - shown) more" : names
    }
}
