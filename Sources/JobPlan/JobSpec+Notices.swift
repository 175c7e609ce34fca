import Identifiers
import TaskArithmetic

extension JobSpec {
    /// Everything that a person should know of the job: of its file, of the files that it names, and of both together.
    ///
    /// A part of the program that learns such a thing adds it where it learns it: the reader of the job file to
    /// ``notices``, the reader of the files to ``JobInventory/notices``, and what follows from both stands here.
    public func allNotices(against inventory: JobInventory) -> [JobNotice] {
        let settings = MergeSettings(spec: self, base: inventory.base)
        return JobNotice.limited(
            notices + inventory.notices + baseNotices + averageNotices(inventory, settings)
                + depthNotices(inventory, settings) + comparisons(inventory).flatMap(\.notices)
                + configurationFindings(inventory).notices)
    }

    // MARK: - The base among the models

    private var baseNotices: [JobNotice] {
        guard outputs.contains(.merged) else { return [] }
        if let listedBase {
            guard method == .taskArithmetic else { return [] }
            return [
                JobNotice(
                    at: listedBase.location,
                    "this entry is the base itself; under \"task_arithmetic\" it contributes nothing, as in mergekit.")
            ]
        }
        guard method == .linear else { return [] }
        let counted =
            parameters.weight == nil
            ? "so it does not count in the average and only gives the layout. List it to let it count."
            : "and counts with the weight of the job's \"parameters\", as in mergekit. Remove \"base_model\" to leave "
                + "it out."
        return [JobNotice(at: baseModel.location, "the base is not listed among the models, \(counted)")]
    }

    // MARK: - Weights

    private func averageNotices(_ inventory: JobInventory, _ settings: MergeSettings) -> [JobNotice] {
        guard outputs.contains(.merged) else { return [] }
        var found: [JobNotice] = []
        if method == .linear, parameters.lambda != nil {
            found.append(
                JobNotice(
                    at: fileName,
                    "\"lambda\" has no effect under \"linear\", as in mergekit. Remove it, or use \"weighted_average\"."
                ))
        }
        guard method == .taskArithmetic, parameters.normalize != nil else { return found }
        let cancelled = inventory.base.tensors.keys.sorted().first { tensor in
            settings.averages(tensor: tensor) && !settings.divides(tensor: tensor)
        }
        if let cancelled {
            found.append(
                JobNotice(
                    at: fileName,
                    "the weights of tensor \"\(cancelled)\" sum to zero, so they are not divided by their sum, as in "
                        + "mergekit."))
        }
        return found
    }

    // MARK: - Gradients over the depth

    private func depthNotices(_ inventory: JobInventory, _ settings: MergeSettings) -> [JobNotice] {
        guard outputs.contains(.merged), hasGradient else { return [] }
        let places = settings.placesOutsideBlocks
        var found: [JobNotice] = []
        if !places.behind.isEmpty {
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
                        + "\(places.unknown.quotedList) stand\(places.unknown.count == 1 ? "s" : ""); gradients give "
                        + "the first value. Use a filter for another one."))
        }
        return found
    }

    private var hasGradient: Bool {
        let settings = [parameters.weight, parameters.lambda, parameters.normalize, listedBase?.parameters.weight]
        return (settings + tasks.map(\.parameters.weight)).contains { $0?.isGradient ?? false }
    }
}

extension [String] {
    /// The first few names in quotes, and how many more there are: no message prints an unbounded list.
    var quotedList: String {
        let shown = 4
        let names = prefix(shown).map { "\"\($0.excerpt)\"" }.joined(separator: ", ")
        return count > shown ? "\(names) and \(count - shown) more" : names
    }
}
