import StudyReport

/// Rows and figures like those of a study of four tasks.
enum SampleStudy {
    static let tasks = ["fashion", "hdigits", "greek", "hebrew"]

    /// Rows of task addition, one for each seed and α; the accuracy of seed s is `mean + s - 1` for seeds 0, 1, 2.
    static func sweep(
        _ method: String,
        _ accuracies: KeyValuePairs<Double, Double>,
        beta: Double? = nil,
        ceiling: Double = 75,
        best: Double? = nil
    ) -> [StudyRow] {
        (0..<3).flatMap { seed in
            accuracies.map { alpha, mean in
                let accuracy = mean + Double(seed - 1)
                return StudyRow(
                    method: method,
                    regime: .addition,
                    seed: seed,
                    alpha: alpha,
                    beta: beta,
                    accuracy: accuracy,
                    normalizedAccuracy: 100 * accuracy / ceiling,
                    ownCeiling: ceiling,
                    perTask: Dictionary(uniqueKeysWithValues: tasks.map { ($0, accuracy) }),
                    isBestAlpha: alpha == best
                )
            }
        }
    }

    static let pretrained = StudyRow(
        method: "pretrained",
        regime: .pretrained,
        accuracy: 60,
        perTask: ["fashion": 70, "hdigits": 60, "greek": 50, "hebrew": 60]
    )

    static func negation(
        _ method: String,
        seed: Int?,
        _ points: [(alpha: Double, target: Double, control: Double)]
    ) -> [StudyRow] {
        points.map { point in
            StudyRow(
                method: method,
                regime: .negation,
                seed: seed,
                alpha: point.alpha,
                accuracy: point.target,
                control: point.control
            )
        }
    }

    static let addition =
        [pretrained] + sweep("linear", [0.1: 65, 1: 27, 2: 15], best: 0.1)
        + sweep("tak-accumulated", [0.1: 63, 1: 66, 2: 58], beta: 100, ceiling: 69, best: 1)
        + sweep("tau-j-p", [0.1: 64, 1: 73, 2: 70], beta: 30, ceiling: 74, best: 1)

    static let merges = [
        StudyRow(method: "weighted_average", regime: .merge, seed: 0, alpha: 1, accuracy: 65.5, seconds: 0.2),
        StudyRow(method: "kfac", regime: .merge, seed: 0, alpha: 1, accuracy: 67.5, setting: "damping = 0.01"),
    ]

    static let ablations = [
        StudyRow(method: "tak-accumulated", regime: .ablation, seed: 1, accuracy: 65, setting: "samples = 64"),
        StudyRow(method: "tak-accumulated", regime: .ablation, seed: 1, accuracy: 66.5, setting: "600 steps"),
    ]

    static let rows =
        addition + merges + ablations
        + negation("linear", seed: 0, [(0.25, 52, 59), (1, 29, 47)])
        + negation("tak-accumulated", seed: 0, [(1, 55, 59.8), (2, 48, 57), (3, 41, 54)])

    static let figures = StudyFigures(
        tasks: tasks,
        disentanglement: [
            DisentanglementMap(
                method: "linear",
                seed: 0,
                firstTask: "greek",
                secondTask: "hebrew",
                alphas: [0, 1, 2],
                errors: [[0, 0.1, 0.2], [0.1, 0.3, 0.4], [0.2, 0.4, 0.65]]
            )
        ],
        interference: [InterferenceMatrix(method: "linear", seed: 0, values: matrix(offDiagonal: 0.5))],
        localisation: [InterferenceMatrix(method: "linear", seed: 0, values: matrix(offDiagonal: 0.25))],
        penaltyCost: [
            PenaltyCost(taskCount: 2, accumulatedMicroseconds: 800, perTaskMicroseconds: 1600),
            PenaltyCost(taskCount: 8, accumulatedMicroseconds: 810, perTaskMicroseconds: 6400),
        ],
        storage: storage,
        leaks: leaks
    )

    /// Two kinds of sharing of two owners; the picture has one image of four pixels and its reading.
    static let leaks: [LeakFigure] = ["fashion", "greek"].enumerated().flatMap { index, owner in
        [("raw rows", 1.0, 1.0), ("pseudo-rows 2 × 4, mixed", 0.5, 0.75)].map { shared, correlation, membership in
            LeakFigure(
                shared: shared,
                owner: owner,
                seed: 0,
                nearest: .init(captured: correlation - 0.2 * Double(index), heldOut: 0.25),
                largest: .init(captured: correlation, heldOut: 0.375),
                fitted: .init(captured: 0.125, heldOut: 0.05),
                membership: membership,
                recovered: index == 0 ? .init(side: 2, images: [0, 255, 0, 255], readings: [1, 2, 3, 4]) : nil
            )
        }
    }

    static let storage = [
        PenaltyStorage(method: "linear", elementCount: 0, relative: 0, largeRelative: 0),
        PenaltyStorage(method: "tak-accumulated", elementCount: 1000, relative: 1, largeRelative: 1),
        PenaltyStorage(method: "unmeasured", elementCount: 500, relative: 0.5, largeRelative: 0.5),
    ]

    static let description = StudyDescription(
        title: "Adding task vectors",
        model: "A small transformer.",
        seeds: [0, 1, 2],
        date: "2026-01-02",
        machine: "two cores",
        version: "1.0",
        settings: [StudySetting(name: "steps", value: "200")],
        notes: ["One base model."]
    )

    private static func matrix(offDiagonal: Double) -> [[Double]] {
        tasks.indices.map { row in tasks.indices.map { $0 == row ? 1 : offDiagonal } }
    }
}
