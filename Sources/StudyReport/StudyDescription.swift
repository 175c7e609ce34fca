/// The description of a study, for the start and the end of its page.
public struct StudyDescription: Codable, Sendable, Equatable {
    /// The heading of the page.
    public var title: String
    /// One sentence on the model and the tasks.
    public var model: String
    /// The seeds of training, as in the rows.
    public var seeds: [Int]
    /// When the study ran, as text for readers.
    public var date: String
    /// Where it ran: processor, cores, libraries.
    public var machine: String
    /// The version of the program that ran it.
    public var version: String
    /// The settings of every row, in the order of the page.
    public var settings: [StudySetting]
    /// Warnings that readers need before they trust the numbers.
    public var notes: [String]

    /// A description; empty texts and lists do not appear on the page.
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
    /// The name of the setting, such as `steps`.
    public var name: String
    /// The setting's value.
    public var value: String

    /// A setting, as text for readers.
    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}
