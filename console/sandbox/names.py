"""The words that the invented provider, its customers, people and machines are made of."""

PROVIDER = "Northlight Managed Security"
PROVIDER_SLUG = "northlight"
PROVIDER_DOMAIN = "northlight.example"

REGIONS: tuple[tuple[str, str, str, int], ...] = (
    ("europe", "Europe", "europe", 44),
    ("americas", "Americas", "usa", 38),
    ("apac", "Asia-Pacific", "australia", 18),
)
"""Id, name, site, share in percent."""

TIERS: tuple[tuple[str, str, str, int], ...] = (
    ("gold", "Gold", "15m/4h", 22),
    ("silver", "Silver", "1h/8h", 43),
    ("bronze", "Bronze", "4h/24h", 35),
)
"""Id, name, service level (acknowledge/resolve), share in percent."""

STEMS: dict[str, tuple[str, ...]] = {
    "europe": (
        "Alder", "Amberg", "Aurelia", "Baltica", "Belvoir", "Birkeland", "Bodensee", "Brennan", "Calder",
        "Castellane", "Château Vert", "Cotswold", "Dalmore", "Danubia", "Dolomiti", "Edelweiß", "Eiger",
        "Elbtal", "Falkenrath", "Fjordheim", "Gdynia", "Giulietta", "Glenmore", "Grünwald", "Hallström",
        "Hanseatic", "Isère", "Jægersborg", "Kaltenbach", "Keskusta", "Kilbride", "Křižík", "Lavaux",
        "Lindqvist", "Loire", "Łabędź", "Malmgren", "Meridiana", "Mühlberg", "Nordhavn", "Novák",
        "Ostsee", "Pallas", "Peñíscola", "Praga", "Rosengård", "Saint-Aubin", "Saône", "Skjold",
        "Søndergaard", "Tatra", "Tessin", "Thames", "Toscana", "Trondelag", "Uppland", "Valdemar",
        "Vistula", "Weser", "Whitby", "Zaandam", "Ötztal",
    ),
    "americas": (
        "Acadia", "Adirondack", "Alameda", "Appalachian", "Bayou", "Beacon Hill", "Big Sky",
        "Bluebonnet", "Boreal", "Bristlecone", "Cascade", "Catalina", "Cedar Ridge", "Chesapeake",
        "Cimarron", "Copper Canyon", "Coronado", "Cypress", "Desert Bloom", "El Dorado", "Evergreen",
        "Fall River", "Flint Hills", "Granite State", "Great Basin", "Harvest Moon", "Hudson", "Iguaçu",
        "Ironwood", "Juniper", "Keystone", "Lakeshore", "Laurentide", "Lone Pine", "Magnolia",
        "Maple Leaf", "Mesa Verde", "Mississagi", "Monarca", "Narragansett", "Ocotillo", "Old Harbor",
        "Ozark", "Palmetto", "Patagonia", "Piedmont", "Prairie", "Quetzal", "Redwood", "Sagebrush",
        "San Telmo", "Saguaro", "Sequoia", "Shenandoah", "Summit", "Tamarack", "Tidewater", "Ucayali",
        "Wabash", "Yukon",
    ),
    "apac": (
        "Akari", "Aotea", "Banksia", "Billabong", "Bukit Timah", "Cebu", "Coorong", "Dandenong",
        "Fremantle", "Hanami", "Hibiscus", "Himalaya", "Jacaranda", "Kaveri", "Kererū", "Kinabalu",
        "Kookaburra", "Lotus", "Macquarie", "Mekong", "Merdeka", "Monsoon", "Nilgiri", "Orchid",
        "Ōtāhuhu", "Pohutukawa", "Rangoli", "Sakura", "Sampan", "Saraswati", "Satsuma", "Southern Cross",
        "Tamar", "Tasman", "Tigerlily", "Waratah", "Yarra", "さくら", "東雲",
    ),
}  # fmt: skip

INDUSTRIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("health", ("Dental", "Clinic", "Hospital Group", "Veterinary", "Pharmacy", "Diagnostics", "Care Homes")),
    ("finance", ("Credit Union", "Insurance", "Savings Bank", "Wealth", "Leasing", "Accountants")),
    (
        "manufacturing",
        ("Foundry", "Plastics", "Textiles", "Machine Works", "Ceramics", "Packaging", "Robotics"),
    ),
    ("food", ("Foods", "Brewery", "Dairy", "Bakery", "Orchards", "Seafood", "Vineyards")),
    ("logistics", ("Logistics", "Freight", "Shipping", "Cold Storage", "Couriers", "Air Cargo")),
    ("public", ("County Schools", "Water Authority", "Library District", "Transit", "Municipal Utilities")),
    ("legal", ("Law", "Notaries", "Patent Attorneys")),
    ("retail", ("Outfitters", "Hardware", "Furniture", "Books", "Gardens", "Opticians")),
    ("energy", ("Energy", "Solar", "Hydro", "Grid Services")),
    ("services", ("Architects", "Engineering", "Hotels", "Studios", "Staffing", "Research", "Media")),
)

LEGAL_FORMS: dict[str, tuple[str, ...]] = {
    "europe": (
        "GmbH",
        "AG",
        "Ltd",
        "S.A.",
        "SARL",
        "AB",
        "ApS",
        "B.V.",
        "Oy",
        "S.p.A.",
        "& Sons",
        "",
        "",
        "",
        "",
    ),
    "americas": ("Inc.", "LLC", "Corp.", "Co.", "S.A. de C.V.", "Ltda.", "Partners", "& Co.", "", "", "", ""),
    "apac": ("Pty Ltd", "K.K.", "Pte Ltd", "Pvt Ltd", "Holdings", "", "", ""),
}

CHILDREN = ("OT Network", "Subsidiary", "Retail Stores", "Data Center", "Labs")
"""What a child organization of a customer is."""

FIRST: tuple[str, ...] = (
    "Aisha", "Alejandro", "Amara", "Anders", "Anja", "Beatriz", "Bjørn", "Camille", "Carlos", "Chiara",
    "Chloe", "Daniel", "Deepa", "Dmitri", "Elena", "Emeka", "Emma", "Farid", "Fatima", "Felix", "Finn",
    "Freya", "Gabriel", "Giorgia", "Grace", "Hana", "Hassan", "Helena", "Henrik", "Hiro", "Ines",
    "Ingrid", "Isaac", "Ivana", "Jakub", "James", "Joana", "Jonas", "Julia", "Kamal", "Karin", "Kenji",
    "Laila", "Lars", "Leila", "Liam", "Linh", "Lucia", "Lukas", "Magda", "Malik", "Marco", "Maren",
    "Maria", "Mateo", "Mei", "Mila", "Milan", "Nadia", "Natalia", "Nikhil", "Noah", "Nora", "Oleg",
    "Olivia", "Omar", "Oscar", "Paula", "Pedro", "Petra", "Priya", "Rafael", "Ravi", "Rosa", "Ruben",
    "Samira", "Sara", "Sean", "Selma", "Sofia", "Stefan", "Tara", "Tariq", "Tomas", "Uma", "Valeria",
    "Victor", "Wanda", "Wei", "Yara", "Yusuf", "Zoe",
)  # fmt: skip

LAST: tuple[str, ...] = (
    "Abebe", "Adeyemi", "Almeida", "Andersson", "Bakker", "Baptiste", "Becker", "Bianchi", "Bose",
    "Brandt", "Cardoso", "Castillo", "Chandra", "Chen", "Costa", "Dahl", "Delgado", "Diallo", "Dubois",
    "Eriksen", "Fernandez", "Fischer", "Fontaine", "Garcia", "Gruber", "Haddad", "Hansen", "Hartmann",
    "Hayashi", "Hoang", "Hughes", "Ibrahim", "Ivanov", "Jansen", "Jensen", "Johnson", "Kaplan", "Keller",
    "Khan", "Kim", "Kovacs", "Kowalska", "Kumar", "Larsen", "Laurent", "Lee", "Lehmann", "Lopez", "Lund",
    "Mahmoud", "Marek", "Martin", "Mendes", "Meyer", "Moreau", "Mori", "Murphy", "Mwangi", "Nakamura",
    "Nguyen", "Nilsson", "Novak", "Okafor", "Okonkwo", "Olsen", "Ortiz", "Patel", "Pereira", "Petrov",
    "Popescu", "Quinn", "Ramirez", "Reyes", "Ricci", "Roth", "Russo", "Sato", "Schmidt", "Schneider",
    "Silva", "Singh", "Sousa", "Svensson", "Tanaka", "Torres", "Tran", "Vasquez", "Vogel", "Walker",
    "Wang", "Weber", "Wright", "Yamamoto", "Yilmaz", "Zhang",
)  # fmt: skip

MACHINES: dict[str, tuple[str, ...]] = {
    "server": ("fs", "dc", "sql", "app", "mail", "print", "backup", "rds", "hyperv", "erp"),
    "linux": ("web", "db", "proxy", "build", "mon", "git", "queue", "nas", "vpn", "docker"),
}
