/// What a study was, for the head and the end of its page.
public struct StudyDescription: Codable, Sendable, Equatable {
    /// The heading of the page.
    public var title: String
    /// One sentence on the model and the tasks.
    public var model: String
    /// The seeds of training, as in the rows.
    public var seeds: [Int]
    /// When the study ran, as readers shall see it.
    public var date: String
    /// Where it ran: processor, cores, libraries.
    public var machine: String
    /// The version of the program that ran it.
    public var version: String
    /// What every row was measured with, in the order of the page.
    public var settings: [StudySetting]
    /// What readers must know before they trust the numbers.
    public var notes: [String]

    /// A description; empty texts and lists are left out of the page.
    public init(
        title: String,
        model: String,
        seeds: [Int] = [],
        date: String = "",
        machine: String = "",
        version: String = "",
        settings: [StudySetting] = [],
        notes: [String] = []
    ) {
        self.title = title
        self.model = model
        self.seeds = seeds
        self.date = date
        self.machine = machine
        self.version = version
        self.settings = settings
        self.notes = notes
    }
}

/// One setting of a study, for all of its rows.
public struct StudySetting: Codable, Sendable, Equatable {
    /// What is set, such as `steps`.
    public var name: String
    /// What it is set to.
    public var value: String

    /// A setting, as readers shall see it.
    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}
