import Laboratory
import StudyReport

extension Study {
    /// What the penalties of all measured methods and contenders keep and share.
    func storage(of rows: [StudyRow], choices: [ContenderChoice]) -> [PenaltyStorage] {
        let (size, large) = (FormSize(inputs.base.layout), FormSize.largeEncoder)
        func storage(_ id: String, _ count: Int?, _ largeCount: Int?) -> PenaltyStorage? {
            guard let count, let largeCount else { return nil }
            return PenaltyStorage(
                method: id, elementCount: count, relative: Double(count) / Double(size.factors),
                largeRelative: Double(largeCount) / Double(large.factors))
        }
        let taskCount = inputs.taskNames.count - 1
        let measured = Set(rows.filter { $0.regime == .addition }.map(\.method))
        let methods = StudyMethod.all(stepCount: options.stepCount).filter { measured.contains($0.id) }
        var seen: Set<String> = []
        return methods.compactMap { method in
            storage(
                method.id, method.penalty.elementCount(size, taskCount: taskCount, method.factors),
                method.penalty.elementCount(large, taskCount: taskCount, method.factors))
        }
            + choices.filter { seen.insert($0.contender).inserted }.compactMap {
                storage($0.contender, $0.storedElementCount, $0.largeElementCount)
            }
    }
}
