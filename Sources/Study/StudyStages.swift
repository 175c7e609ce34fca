import Laboratory

/// A part of a study whose result is kept.
struct StudyStage: Sendable {
    enum Work: Sendable {
        case pretrained
        /// Trains a method's vectors and measures them.
        case method(StudyMethod, seed: Int)
        /// Trains a contender's vectors for each β, and measures those that are best on validation images.
        case contender(Contender, seed: Int)
        /// Measures where a method's vectors act, and how two of them disturb each other.
        case figures(StudyMethod, seed: Int)
        /// Computes the daemon's interference matrix of a method's vectors.
        case interference(StudyMethod, seed: Int)
        /// Merges one method's vectors by every method of the daemon.
        case merges(StudyMethod, seed: Int)
        case ablation(StudyMethod, seed: Int)
        /// Measures what can be read of images from what is shared.
        case leaks(seed: Int)
        case penaltyCost
    }

    /// The cost of measuring vectors, relative to the training of one vector.
    static let evaluationCost = 2.0

    /// The name of its file; the result does not depend on the other stages of a run.
    let name: String
    let work: Work
    /// The cost, relative to the training of one vector.
    let cost: Double

    /// Whether a result is this stage's: a contender's must be the choice of the same strengths.
    func isDone(by result: StageResult?) -> Bool {
        guard let result else { return false }
        guard case .contender(let contender, _) = work else { return true }
        return result.choice?.betas == contender.betas
    }
}

/// The stages of a study in order; a seed is finished before the next begins, so that results come early.
struct StudyStages: Sendable {
    private let options: Study.Options
    private let taskCount: Double

    init(_ study: Study) {
        options = study.options
        taskCount = Double(study.inputs.taskNames.count)
    }

    /// The stages that a run's options select.
    ///
    /// One seed is enough for figures and ablations.
    var chosen: [StudyStage] {
        stages(seeds: options.seeds, detailed: [options.seeds[0]], options.contenders) { options.includes($0) }
    }

    /// All stages of some seeds but those of contenders, independent of the options.
    func all(seeds: [Int]) -> [StudyStage] {
        var seen: Set<Int> = []
        let different = seeds.filter { seen.insert($0).inserted }.sorted()
        return stages(seeds: different, detailed: different, []) { _ in true }
    }

    private func stages(
        seeds: [Int], detailed: [Int], _ contenders: [Contender], including isIncluded: (String) -> Bool
    ) -> [StudyStage] {
        let methods = StudyMethod.all(stepCount: options.stepCount)
        var stages = [StudyStage(name: "pretrained", work: .pretrained, cost: 0.1)]
        for seed in seeds {
            let chosen = methods.filter { isIncluded($0.id) }
            stages += chosen.map { trained($0, seed: seed, .method($0, seed: seed), "") }
            stages += contenders.map { contended($0, seed: seed) }
            if isIncluded(StudyMethod.mergesID) {
                stages += methods.filter { $0.id == "linear" }.map {
                    trained($0, seed: seed, .merges($0, seed: seed), "merges.", isTrained: isIncluded($0.id))
                }
            }
            if isIncluded(StudyMethod.leaksID) {
                stages.append(
                    StudyStage(name: "\(StudyMethod.leaksID).seed\(seed)", work: .leaks(seed: seed), cost: 10))
            }
        }
        for seed in detailed {
            for method in methods where isIncluded(method.id) && method.recipe.regime == .linear {
                let figures = StudyStage.Work.figures(method, seed: seed)
                stages.append(trained(method, seed: seed, figures, "figures.", isTrained: true))
                if ["linear", "tak-accumulated"].contains(method.id), isIncluded(StudyMethod.mergesID) {
                    let interference = StudyStage.Work.interference(method, seed: seed)
                    stages.append(trained(method, seed: seed, interference, "interference.", isTrained: true))
                }
            }
            if isIncluded(StudyMethod.ablationsID) {
                stages += StudyMethod.ablations(stepCount: options.stepCount).map {
                    trained($0, seed: seed, .ablation($0, seed: seed), "")
                }
            }
        }
        stages.append(StudyStage(name: "penalty-cost", work: .penaltyCost, cost: 0.2))
        return stages
    }

    private func contended(_ contender: Contender, seed: Int) -> StudyStage {
        let methods = contender.betas.map { contender.method(beta: $0, stepCount: options.stepCount) }
        return StudyStage(
            name: "\(StudyDirectory.contenderPrefix)seed\(seed).\(contender.id)",
            work: .contender(contender, seed: seed),
            cost: StudyStage.evaluationCost + methods.reduce(0) { $0 + taskCount * $1.relativeCost })
    }

    private func trained(
        _ method: StudyMethod, seed: Int, _ work: StudyStage.Work, _ prefix: String, isTrained: Bool = false
    ) -> StudyStage {
        StudyStage(
            name: "\(prefix)seed\(seed).\(method.fileName)", work: work,
            cost: StudyStage.evaluationCost + (isTrained ? 0 : taskCount * method.relativeCost))
    }
}
