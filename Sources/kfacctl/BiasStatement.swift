import Admission
import Console
import FileAccess
import Identifiers
import JobPlan
import SystemPackage

/// What the user says of the biases of captured layers, because captures do not say it.
enum BiasStatement: Sendable {
    /// The base has them.
    case base(BaseLayers)
    /// The layers that these patterns take have a bias.
    case patterns(NamePatterns)

    /// The base, if the user named it.
    var base: BaseLayers? {
        if case .base(let base) = self { base } else { nil }
    }

    /// Reads what the options say.
    ///
    /// - Throws: ``CommandFailure`` when they say nothing or contradict each other, or for a base that cannot be read.
    init(base: String?, patterns: [String], isNone: Bool) throws {
        let given = [base != nil, !patterns.isEmpty, isNone].filter(\.self).count
        guard given == 1 else {
            throw CommandFailure(
                .badInput,
                (given == 0 ? "captures do not say which layers have a bias." : "the biases are stated twice.")
                    + " Give one of --base with the base checkpoint, --bias with patterns of the layers that have one, and "
                    + "--no-bias.")
        }
        guard let base else {
            self = .patterns(NamePatterns(patterns.map { Located($0, at: "options") }))
            return
        }
        do throws(JobRefusal) {
            self = .base(try BaseLayers(reading: FilePath(base), written: base, within: .unlimited))
        } catch {
            throw CommandFailure(.badInput, error.description)
        }
    }

    /// Whether a layer has a bias.
    ///
    /// - Throws: `JobRefusal` for a layer that the base does not have.
    func hasBias(_ layer: String) throws(JobRefusal) -> Bool {
        switch self {
        case .base(let base): try base.hasBias(layer)
        case .patterns(let patterns): patterns.takes(layer)
        }
    }

    /// A sentence for each pattern that has no effect on the layers.
    func problems(with layers: [String]) -> [String] {
        guard case .patterns(let patterns) = self else { return [] }
        return patterns.problems(among: layers, of: "bias", matching: "none of the \(layers.count) captured layers")
            .map(\.description)
    }
}
