import Laboratory

/// The size of the measured work.
struct MeasuredSize {
    /// Columns and rows of the captures for the factor stage, and whether a bias appends a one.
    let captures: [(columns: Int, rows: Int, appendsOne: Bool)]
    /// Dimensions of the inverses.
    let inverses: [Int]
    /// The number of tensors of a merged checkpoint, and their shape.
    let mergedTensors: Int
    let mergedShape: [Int]
    /// Width of the cluster job's transformer blocks, and rows of a capture.
    let width: Int
    let rows: Int
    /// Width of the layers whose times are predicted.
    let predictedWidth: Int
    /// The numbers of tasks that a penalty sums, and the repetitions of each measurement.
    let penaltyTasks: [Int]
    let penaltyRuns: Int
    /// The training steps of a run, and the number of runs.
    let steps: Int
    let runs: Int
    /// The units of the job of tiny layers.
    let trivialUnits: Int
    /// The units of the job in whose middle the coordinator is killed.
    let restartUnits: Int
    /// The workers that wait, and for how many seconds they are watched.
    let idleWorkers: Int
    let idleSeconds: Int

    /// The size for the figures in the documents.
    static let full = MeasuredSize(
        captures: [
            (64, 1 << 19, false), (64, 1 << 19, true), (128, 1 << 18, false), (192, 1 << 18, false),
            (192, 1 << 18, true), (256, 1 << 17, false), (384, 1 << 17, false), (768, 1 << 16, false),
            (3072, 1 << 14, false),
        ], inverses: [768, 3072],
        mergedTensors: 24, mergedShape: [2048, 4096], width: 768, rows: 6400,
        predictedWidth: 512, penaltyTasks: PenaltyCostMeasurement.taskCounts, penaltyRuns: 15, steps: 50, runs: 3,
        trivialUnits: 15_000, restartUnits: 100_000, idleWorkers: 64, idleSeconds: 60)

    /// A small size that shows whether everything runs.
    static let small = MeasuredSize(
        captures: [(64, 8192, false), (192, 4096, true)], inverses: [96], mergedTensors: 2, mergedShape: [256, 256],
        width: 48, rows: 200, predictedWidth: 48, penaltyTasks: [2, 4], penaltyRuns: 1, steps: 2, runs: 1,
        trivialUnits: 60, restartUnits: 600, idleWorkers: 2, idleSeconds: 1)
}
