/// How the daemons of `kfacctl run` share this machine's processors.
struct MachineShare: Equatable {
    /// The number of workers.
    let workers: Int
    /// The lanes of each worker.
    let lanesOfWorker: Int

    /// The lanes of all workers.
    var lanes: Int { workers * lanesOfWorker }

    /// Shares the processors.
    ///
    /// - Parameters:
    ///   - workers: The number of workers that a user asked for, or `nil`.
    ///   - processors: The processors that this process may use.
    init(workers: Int?, processors: Int) {
        self.workers = workers ?? min(2, processors)
        lanesOfWorker = max(1, processors / self.workers)
    }
}
